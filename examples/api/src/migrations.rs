//! The database's schema, step by step.

use anyhow::Context;
use tokio_postgres::Client;

use crate::database;

/// One step, in a file of `migrations/`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Migration {
    name: &'static str,
    sql: &'static str,
}

const ALL: &[Migration] = &include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// Any number that no other program locks in the same database.
const LOCK: i64 = 0x6e6f_7465_7321;

/// Applies what is missing. Two at once are fine: the second waits, and finds nothing to do.
pub(crate) async fn migrate() -> anyhow::Result<()> {
    let mut client = database::connect().await?;
    client
        .batch_execute("set lock_timeout = '60s'")
        .await
        .context("limit the wait for locks")?;
    client
        .execute("select pg_advisory_lock($1)", &[&LOCK])
        .await
        .context("wait for another migration to end")?;
    let applied = applied(&client).await?;
    let pending = pending(ALL, &applied)?;
    for migration in pending {
        apply(&mut client, migration).await?;
        println!("api: applied {}", migration.name);
    }
    println!(
        "api: {} migrations were there, {} applied",
        applied.len(),
        pending.len()
    );
    Ok(())
}

async fn applied(client: &Client) -> anyhow::Result<Vec<String>> {
    client
        .batch_execute(
            "create table if not exists applied_migrations (
                name text primary key,
                applied_at timestamptz not null default now()
            )",
        )
        .await
        .context("make the table of applied migrations")?;
    let rows = client
        .query(
            "select name from applied_migrations order by name collate \"C\"",
            &[],
        )
        .await
        .context("read which migrations were applied")?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What is left to do. A database with steps that we do not know, or of another order, belongs to another branch: to
/// go on would make a schema that nobody wrote.
fn pending<'a>(all: &'a [Migration], applied: &[String]) -> anyhow::Result<&'a [Migration]> {
    for (place, name) in applied.iter().enumerate() {
        match all.get(place) {
            Some(migration) if migration.name == name => {}
            Some(migration) => anyhow::bail!(
                "the database has {name} where this version has {}; it needs a database of its own",
                migration.name
            ),
            None => anyhow::bail!(
                "the database has {name}, which this version does not know; it needs a database of its own"
            ),
        }
    }
    Ok(&all[applied.len()..])
}

/// The step and the note that it was done, both or neither.
async fn apply(client: &mut Client, migration: &Migration) -> anyhow::Result<()> {
    let what = || format!("apply {}", migration.name);
    let transaction = client.transaction().await.with_context(what)?;
    transaction
        .batch_execute(migration.sql)
        .await
        .with_context(what)?;
    transaction
        .execute(
            "insert into applied_migrations (name) values ($1)",
            &[&migration.name],
        )
        .await
        .with_context(what)?;
    transaction.commit().await.with_context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[Migration] = &[step("0001_one.sql"), step("0002_two.sql")];

    const fn step(name: &'static str) -> Migration {
        Migration { name, sql: "" }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn migrations_are_ordered_by_a_number_that_none_shares() {
        let numbers: Vec<&str> = ALL.iter().map(|migration| &migration.name[..5]).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
        for (place, number) in numbers.iter().enumerate() {
            assert_eq!(*number, format!("{:04}_", place + 1));
        }
    }

    #[test]
    fn a_new_database_gets_all_and_a_finished_one_nothing() {
        assert_eq!(pending(TWO, &[]).unwrap(), TWO);
        let done = names(&["0001_one.sql", "0002_two.sql"]);
        assert_eq!(pending(TWO, &done).unwrap(), &[]);
    }

    #[test]
    fn an_older_database_gets_the_rest() {
        let done = names(&["0001_one.sql"]);
        assert_eq!(pending(TWO, &done).unwrap(), &TWO[1..]);
    }

    #[test]
    fn a_database_of_another_branch_is_refused() {
        let other = names(&["0001_one.sql", "0002_too.sql"]);
        let refused = pending(TWO, &other).unwrap_err().to_string();
        assert!(
            refused
                .starts_with("the database has 0002_too.sql where this version has 0002_two.sql")
        );
        let newer = names(&["0001_one.sql", "0002_two.sql", "0003_three.sql"]);
        let refused = pending(TWO, &newer).unwrap_err().to_string();
        assert!(
            refused
                .starts_with("the database has 0003_three.sql, which this version does not know")
        );
    }
}
