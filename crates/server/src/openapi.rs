//! The description of what can be asked, for programs. It is made of the routes themselves; `docs/openapi.json` is a copy that a test
//! holds true.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::Value;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder};

use crate::api;
use crate::schema;

const ABOUT: &str = "Executions by id, and queues of jobs. Over TCP each request carries the access token; over the unix socket none is needed. \
                     Every answer that is no success has the same body, `ErrorAnswer`.";

/// What is not of any route.
pub(crate) fn head() -> OpenApi {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let components = ComponentsBuilder::new().security_scheme("token", SecurityScheme::Http(bearer)).build();
    let tags = [
        ("executions", "Executions by id."),
        ("queues", "Queues, which keep jobs until agents take them."),
        ("server", "The server itself."),
    ]
    .map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build());
    let mut document = OpenApiBuilder::new()
        .info(InfoBuilder::new().title("Jobwright").version("1").description(Some(ABOUT)).build())
        .components(Some(components))
        .tags(Some(tags))
        .security(Some([SecurityRequirement::new("token", Vec::<String>::new())]))
        .build();
    document.merge(schema::of_events());
    document
}

/// The description of the whole interface, OpenAPI 3.1.
#[must_use]
pub fn document() -> Value {
    // Plain data with text for keys: writing it as JSON has no way to fail.
    serde_json::to_value(api::routes().into_openapi()).unwrap_or_default()
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "server", responses(
    (status = 200, description = "OpenAPI 3.1.", body = serde_json::Value),
))]
pub(crate) async fn get_openapi() -> impl IntoResponse {
    static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str())
}
