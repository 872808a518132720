//! An image that serves one page when it is run as it is, for services, which have no command of their own.

use bollard::config::{ContainerConfig, ContainerCreateBody};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, CreateContainerOptions, RemoveContainerOptionsBuilder,
};

use crate::engines::{Engine, IMAGE};

/// The image's name.
const NAME: &str = "jobwright-test/page:1";

/// Makes sure that the image is in `engine`; answers its name.
pub(super) async fn provide(engine: &Engine) -> &'static str {
    let client = engine.client();
    if client.inspect_image(NAME).await.is_ok() {
        return NAME;
    }
    let page = "mkdir -p /www && echo served by the web > /www/index.html && exec httpd -f -p 8080 -h /www";
    let command = vec!["/bin/sh".to_owned(), "-c".to_owned(), page.to_owned()];
    let body = ContainerCreateBody {
        image: Some(IMAGE.to_owned()),
        cmd: Some(command.clone()),
        ..Default::default()
    };
    let container = client.create_container(None::<CreateContainerOptions>, body).await.unwrap().id;
    let (repository, tag) = NAME.rsplit_once(':').unwrap();
    let options =
        CommitContainerOptionsBuilder::new().container(&container).repo(repository).tag(tag).build();
    let config = ContainerConfig { cmd: Some(command), ..Default::default() };
    client.commit_container(options, config).await.unwrap();
    let options = RemoveContainerOptionsBuilder::new().force(true).build();
    client.remove_container(&container, Some(options)).await.unwrap();
    NAME
}
