//! What is kept in the database.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use crate::database;

/// A note as it is kept.
#[derive(Debug, Serialize)]
pub(crate) struct Note {
    id: i64,
    text: String,
    author: String,
}

/// A note as somebody writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct New {
    text: String,
    #[serde(default = "somebody")]
    author: String,
}

fn somebody() -> String {
    "somebody".to_owned()
}

impl New {
    /// What is wrong with it.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        match self.text.chars().count() {
            0 => Some("a note without text"),
            1..=500 => None,
            _ => Some("a note longer than 500 characters"),
        }
    }
}

/// The oldest notes, at most a hundred.
pub(crate) async fn list(client: &Client) -> anyhow::Result<Vec<Note>> {
    let rows = client
        .query(
            "select id, text, author from notes order by id limit 100",
            &[],
        )
        .await
        .context("read the notes")?;
    let notes = rows.iter().map(|row| Note {
        id: row.get("id"),
        text: row.get("text"),
        author: row.get("author"),
    });
    Ok(notes.collect())
}

/// Keeps a note.
pub(crate) async fn add(client: &Client, new: New) -> anyhow::Result<Note> {
    let row = client
        .query_one(
            "insert into notes (text, author) values ($1, $2) returning id, text, author",
            &[&new.text, &new.author],
        )
        .await
        .context("keep a note")?;
    Ok(Note {
        id: row.get("id"),
        text: row.get("text"),
        author: row.get("author"),
    })
}

/// Puts the first notes into a database that has none.
pub(crate) async fn seed() -> anyhow::Result<()> {
    let client = database::connect().await?;
    client
        .batch_execute(include_str!("../seed.sql"))
        .await
        .context("apply seed.sql")?;
    println!("api: seeded, {} notes", list(&client).await?.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_has_text_and_not_too_much() {
        let fault = |text: &str| {
            New {
                text: text.to_owned(),
                author: somebody(),
            }
            .fault()
        };
        assert_eq!(fault("hello"), None);
        assert_eq!(fault(&"ä".repeat(500)), None);
        assert_eq!(fault(""), Some("a note without text"));
        assert!(fault(&"ä".repeat(501)).is_some());
    }
}
