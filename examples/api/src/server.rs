//! The API over HTTP.

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;

use crate::{database, notes};

pub(crate) async fn run() -> anyhow::Result<()> {
    let router = Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/ready", get(ready))
        .route("/notes", get(list).post(add));
    service::serve("api", router).await
}

/// Ready is who answers from the database.
async fn ready() -> Result<&'static str, Failure> {
    let client = database::connect().await?;
    client.query("select id from notes limit 1", &[]).await?;
    Ok("ready\n")
}

async fn list() -> Result<Response, Failure> {
    let client = database::connect().await?;
    Ok(Json(notes::list(&client).await?).into_response())
}

async fn add(Json(new): Json<notes::New>) -> Result<Response, Failure> {
    if let Some(fault) = new.fault() {
        let answer = Json(json!({ "error": fault }));
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, answer).into_response());
    }
    let client = database::connect().await?;
    let note = notes::add(&client, new).await?;
    Ok((StatusCode::CREATED, Json(note)).into_response())
}

/// The database failed us. The log says how; the answer does not.
struct Failure;

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        println!("api: {:#}", error.into());
        Self
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let answer = Json(json!({ "error": "the database does not answer" }));
        (StatusCode::SERVICE_UNAVAILABLE, answer).into_response()
    }
}
