//! The way to PostgreSQL.

use std::time::Duration;

use anyhow::Context;
use service::{required, setting};
use tokio_postgres::{Client, Config, NoTls};

/// Connects to the database that the environment names. One connection for each piece of work is enough for an
/// example, and survives a database that restarts.
pub(crate) async fn connect() -> anyhow::Result<Client> {
    let host = required("DATABASE_HOST")?;
    let port = setting("DATABASE_PORT", "5432");
    let mut config = Config::new();
    config
        .host(&host)
        .port(
            port.parse()
                .with_context(|| format!("DATABASE_PORT is {port:?}, not a port"))?,
        )
        .dbname(required("DATABASE_NAME")?)
        .user(required("DATABASE_USER")?)
        .password(required("DATABASE_PASSWORD")?)
        .application_name("api")
        .connect_timeout(Duration::from_secs(3));
    let (client, connection) = config
        .connect(NoTls)
        .await
        .with_context(|| format!("cannot reach the database at {host}:{port}"))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            println!("api: the connection to the database broke: {error}");
        }
    });
    Ok(client)
}
