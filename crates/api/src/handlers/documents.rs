//! The OpenAPI document, and two pages that show it. Nothing on them asks anybody but this service for anything.

use std::sync::Arc;

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderValue,
};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};

use super::writer::{is_known, no_query};
use crate::openapi;
use crate::problem::Problem;

/// What the pages may do: Redoc writes its styles into the page, and searches in a worker that it makes itself.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The parts of Swagger UI that its page loads.
const SWAGGER_PARTS: [&str; 2] = ["swagger-ui.css", "swagger-ui-bundle.js"];

/// The document and its pages, made once.
#[derive(Debug)]
pub struct Documents {
    openapi: File,
    swagger: Vec<(&'static str, File)>,
    redoc: Vec<(&'static str, File)>,
}

/// Bytes that are served as they are.
#[derive(Debug)]
struct File {
    bytes: Bytes,
    content_type: HeaderValue,
    etag: HeaderValue,
    is_gzip: bool,
}

/// The name of a page among its files.
const INDEX: &str = "index.html";

impl Documents {
    /// Makes the document, and takes the pages from the binary.
    #[must_use]
    pub fn new() -> Self {
        let html = "text/html; charset=utf-8";
        let script = "text/javascript; charset=utf-8";
        let embedded = |name, text: &'static str, content_type| {
            (name, File::new(Bytes::from_static(text.as_bytes()), content_type, false))
        };
        let mut swagger = vec![
            embedded(INDEX, include_str!("../../assets/swagger/index.html"), html),
            embedded("start.js", include_str!("../../assets/swagger/start.js"), script),
        ];
        let config = Arc::new(utoipa_swagger_ui::Config::default());
        for name in SWAGGER_PARTS {
            if let Ok(Some(part)) = utoipa_swagger_ui::serve(name, Arc::clone(&config)) {
                let bytes = Bytes::from(part.bytes.into_owned());
                swagger.push((name, File::new(bytes, &part.content_type, part.gzpipped)));
            }
        }
        let redoc = vec![
            embedded(INDEX, include_str!("../../assets/redoc/index.html"), html),
            embedded("start.js", include_str!("../../assets/redoc/start.js"), script),
            embedded("redoc.standalone.js", include_str!("../../assets/redoc/redoc.standalone.js"), script),
        ];
        let openapi = File::new(openapi::document_as_json().into(), "application/json", false);
        Self { openapi, swagger, redoc }
    }
}

impl Default for Documents {
    fn default() -> Self {
        Self::new()
    }
}

impl File {
    fn new(bytes: Bytes, content_type: &str, is_gzip: bool) -> Self {
        let hash = blake3::hash(&bytes).to_hex();
        let header = |text: &str| HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""));
        Self { etag: header(&format!("\"{}\"", &hash[..32])), content_type: header(content_type), bytes, is_gzip }
    }

    /// The file, unless the client has it.
    fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, Problem> {
        no_query(request)?;
        if is_known(request.headers(), &self.etag) {
            return Ok(HttpResponse::NotModified().insert_header((ETAG, self.etag.clone())).finish());
        }
        let mut response = HttpResponse::Ok();
        response
            .insert_header((ETAG, self.etag.clone()))
            .insert_header((CONTENT_TYPE, self.content_type.clone()))
            .insert_header((CACHE_CONTROL, "no-cache")); // Ask each time whether it has changed.
        if self.is_gzip {
            response.insert_header((CONTENT_ENCODING, "gzip"));
        }
        if self.content_type.as_bytes().starts_with(b"text/html") {
            response.insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY));
        }
        Ok(response.body(self.bytes.clone()))
    }
}

/// The file with this name.
fn named(files: &[(&'static str, File)], name: &str, request: &HttpRequest) -> Result<HttpResponse, Problem> {
    let (_, file) = files.iter().find(|(known, _)| *known == name).ok_or_else(Problem::not_found)?;
    file.answer(request)
}

/// The name of the file in the path; a page has a path of its own.
fn file_name(request: &HttpRequest) -> &str {
    request.match_info().get("file").filter(|name| *name != INDEX).unwrap_or_default()
}

/// `GET /openapi.json`
///
/// # Errors
///
/// The problem of a request that asks for more.
pub async fn openapi(request: HttpRequest, documents: web::Data<Documents>) -> Result<HttpResponse, Problem> {
    documents.openapi.answer(&request)
}

/// `GET /swagger`
///
/// # Errors
///
/// The problem of a request that asks for more.
pub async fn swagger(request: HttpRequest, documents: web::Data<Documents>) -> Result<HttpResponse, Problem> {
    named(&documents.swagger, INDEX, &request)
}

/// `GET /swagger/{file}`
///
/// # Errors
///
/// The problem of a file that isn't there.
pub async fn swagger_file(request: HttpRequest, documents: web::Data<Documents>) -> Result<HttpResponse, Problem> {
    named(&documents.swagger, file_name(&request), &request)
}

/// `GET /redoc`
///
/// # Errors
///
/// The problem of a request that asks for more.
pub async fn redoc(request: HttpRequest, documents: web::Data<Documents>) -> Result<HttpResponse, Problem> {
    named(&documents.redoc, INDEX, &request)
}

/// `GET /redoc/{file}`
///
/// # Errors
///
/// The problem of a file that isn't there.
pub async fn redoc_file(request: HttpRequest, documents: web::Data<Documents>) -> Result<HttpResponse, Problem> {
    named(&documents.redoc, file_name(&request), &request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_asks_nobody_else_for_anything() {
        let documents = Documents::new();
        let files = documents.swagger.iter().chain(&documents.redoc);
        let mut texts = 0;
        for (name, file) in files.filter(|(_, file)| !file.is_gzip) {
            let text = std::str::from_utf8(&file.bytes).unwrap();
            for loading in [
                "src=\"http",
                "src:\"http",
                "href=\"http",
                "url(http",
                "url(\"http",
                "@import",
                "fonts.googleapis",
                "//cdn.",
            ] {
                if let Some(place) = text.find(loading) {
                    let end = (place..text.len().min(place + 120)).rev().find(|end| text.is_char_boundary(*end));
                    panic!("{name} has {}", &text[place..end.unwrap_or(place)]);
                }
            }
            texts += 1;
        }
        assert_eq!(texts, 7, "the pages, their starts, and what they load");
    }

    #[test]
    fn a_page_has_all_that_it_names() {
        let documents = Documents::new();
        for (files, folder) in [(&documents.swagger, "swagger/"), (&documents.redoc, "redoc/")] {
            let page = std::str::from_utf8(&files[0].1.bytes).unwrap();
            let named: Vec<&str> = page.split(folder).skip(1).filter_map(|rest| rest.split('"').next()).collect();
            assert!(named.len() >= 2, "{page}");
            for name in named {
                assert!(files.iter().any(|(known, _)| *known == name), "{folder}{name}");
            }
        }
    }
}
