//! The document and its pages.

use actix_web::http::StatusCode;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::openapi::{Description, Tag};
use crate::problem::Kind;
use crate::wire::schemas;

const HTML: &str = "text/html; charset=utf-8";

/// The schema of the document, which is another standard's to say.
struct OpenApi;

impl PartialSchema for OpenApi {
    fn schema() -> RefOr<Schema> {
        let version = schemas::text().pattern(Some(r"^3\.1\."));
        ObjectBuilder::new().property("openapi", version).required("openapi").into()
    }
}

impl ToSchema for OpenApi {}

/// `GET /openapi.json`
#[must_use]
pub fn openapi() -> Description {
    Description::new("getOpenApi", Tag::Documents, "Get this document", "")
        .answers::<OpenApi>(StatusCode::OK, "The document, OpenAPI 3.1")
        .shown()
}

/// `GET /swagger`
#[must_use]
pub fn swagger() -> Description {
    Description::new("getSwaggerUi", Tag::Documents, "Read this document in Swagger UI", "")
        .answers_with(StatusCode::OK, "The page", HTML)
        .shown()
}

/// `GET /swagger/{file}`
#[must_use]
pub fn swagger_file() -> Description {
    Description::new("getSwaggerUiFile", Tag::Documents, "Get a part of Swagger UI", "")
        .path_example("file", "swagger-ui.css")
        .answers_with(StatusCode::OK, "The file", "*/*")
        .shown()
        .refuses(&[Kind::NOT_FOUND])
}

/// `GET /redoc`
#[must_use]
pub fn redoc() -> Description {
    Description::new("getRedoc", Tag::Documents, "Read this document in Redoc", "")
        .answers_with(StatusCode::OK, "The page", HTML)
        .shown()
}

/// `GET /redoc/{file}`
#[must_use]
pub fn redoc_file() -> Description {
    Description::new("getRedocFile", Tag::Documents, "Get a part of Redoc", "")
        .path_example("file", "redoc.standalone.js")
        .answers_with(StatusCode::OK, "The file", "*/*")
        .shown()
        .refuses(&[Kind::NOT_FOUND])
}
