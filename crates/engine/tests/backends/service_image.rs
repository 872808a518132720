//! Images that do something when they are run as they are, for services, which have no command of their own.

use bollard::body_full;
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::TryStreamExt;

use crate::engines::{Engine, IMAGE};

/// An image that serves one page; its name.
pub(crate) async fn web(engine: &Engine) -> String {
    let page = "mkdir -p /www && echo served by the web > /www/index.html && exec httpd -f -p 8080 -h /www";
    provide(engine, "page", page, None).await
}

/// Makes sure that an image is in `engine` that runs `script`, with a health check that runs `check` now and then; its full name.
pub(crate) async fn provide(engine: &Engine, name: &str, script: &str, check: Option<&str>) -> String {
    let image = format!("jobwright-test/{name}:2");
    let client = engine.client();
    if client.inspect_image(&image).await.is_ok() {
        return image;
    }
    let check = check.map(|check| format!("HEALTHCHECK --interval=1s CMD {check}\n")).unwrap_or_default();
    let file = format!("FROM {IMAGE}\n{check}CMD {script}\n");
    let mut context = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(file.len() as u64);
    context.append_data(&mut header, "Dockerfile", file.as_bytes()).unwrap();
    let options = BuildImageOptionsBuilder::new().dockerfile("Dockerfile").t(&image).rm(true).build();
    let body = body_full(context.into_inner().unwrap().into());
    client.build_image(options, None, Some(body)).try_collect::<Vec<_>>().await.unwrap();
    image
}
