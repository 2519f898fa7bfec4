use proptest::prelude::*;
use serde_json::json;

use super::*;

fn blob(content: char) -> BlobSha {
    content.to_string().repeat(40).parse().unwrap()
}

/// `1a 2b` is `m/1.sql` with the content `a`, and `m/2.sql` with `b`.
fn files(text: &str) -> Vec<Migration> {
    text.split_whitespace()
        .map(|file| Migration {
            path: format!("m/{}.sql", &file[..1]),
            blob: blob(file.chars().nth(1).unwrap()),
        })
        .collect()
}

#[test]
fn a_database_is_kept_as_long_as_what_was_applied_is_the_beginning_of_what_is_wanted() {
    for (applied, wanted, told) in [
        ("", "", "kept"),
        ("", "1a 2b", "kept"),
        ("1a 2b", "1a 2b", "kept"),
        ("1a", "1a 2b 3c", "kept"),
        ("1a 2b", "1a 2c", "`m/2.sql` was applied with other content"),
        ("1a 2b", "1c 2d", "`m/1.sql` was applied with other content"),
        (
            "1a 2b",
            "1a",
            "`m/2.sql` was applied and is not there any more",
        ),
        (
            "1a 2b",
            "",
            "`m/1.sql` was applied and is not there any more",
        ),
        (
            "1a 2b",
            "2b",
            "`m/1.sql` was applied and is not there any more",
        ),
        (
            "1a 2b",
            "1a 3b",
            "`m/2.sql` was applied and is not there any more",
        ),
        (
            "1a 3c",
            "1a 2b 3c",
            "`m/2.sql` now comes before `m/3.sql`, which was applied without it",
        ),
        (
            "2b",
            "1a 2c",
            "`m/1.sql` now comes before `m/2.sql`, which was applied without it",
        ),
    ] {
        let why = Divergence::between(&files(applied), &files(wanted));
        let why = why.map(|why| Rebuild::Migrations(why).to_string());
        let why = why.unwrap_or_else(|| "kept".to_owned());
        assert_eq!(
            why, told,
            "{applied:?} was applied, and {wanted:?} is wanted"
        );
    }
}

#[test]
fn migrations_are_the_files_that_the_patterns_mean_in_the_order_of_their_paths() {
    let tree = [
        ("web/x.sql", 'a'),
        ("api/migrations/0002.sql", 'b'),
        ("api/migrations/0001.sql", 'c'),
        ("api/migrations/README.md", 'd'),
        ("api/migrations/old/0000.sql", 'e'),
    ]
    .map(|(path, content)| (path.to_owned(), blob(content)));
    let patterns = ["api/migrations/*.sql"].map(|text| text.parse().unwrap());
    let found = migrations(&tree, &patterns.into_iter().collect());
    let found: Vec<&str> = found.iter().map(|found| found.path.as_str()).collect();
    assert_eq!(
        found,
        ["api/migrations/0001.sql", "api/migrations/0002.sql"]
    );
}

#[test]
fn the_state_is_read_as_it_was_written() {
    let state = State {
        migrations: files("1a"),
        migrated: BTreeSet::from(["api-migrate-0123456789".to_owned()]),
        seeded: BTreeSet::from(["api-seed-0123456789".to_owned()]),
        ..State::fresh("0d5f-1".parse().unwrap())
    };
    insta::assert_snapshot!(state.data()[STATE_KEY], @r#"
    {
      "volume_claim": "0d5f-1",
      "migrations": [
        {
          "path": "m/1.sql",
          "blob": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        }
      ],
      "migrated": [
        "api-migrate-0123456789"
      ],
      "seeded": [
        "api-seed-0123456789"
      ]
    }
    "#);
    let config_map = json!({ "data": state.data() });
    assert_eq!(State::read(&config_map).unwrap(), state);
}

#[test]
fn what_a_run_began_is_in_doubt_until_a_run_comes_to_its_end() {
    let mut state = State::fresh("0d5f-1".parse().unwrap());
    let begin = |state: &mut State, wanted: &str| {
        let differs = state.begin(&files(wanted));
        differs.map(|differs| differs.to_string())
    };
    assert_eq!(begin(&mut state, "1a"), None);
    assert!(state.complete(&files("1a")));
    assert!(!state.complete(&files("1a")), "nothing new");

    // A run that fails, and more files before the next.
    assert_eq!(begin(&mut state, "1a 2a"), None);
    assert_eq!(begin(&mut state, "1a 2a 3a"), None);
    let told = [
        begin(&mut state, "1a 2b 3a"),
        begin(&mut state, "1a 3a"),
        begin(&mut state, "1a"),
        begin(&mut state, "1a 2a 3a"),
    ];
    let told = told.map(Option::unwrap_or_default);
    insta::assert_snapshot!(told.join("\n"), @r"
    `m/2.sql` has other content since
    `m/2.sql` is not there any more
    `m/2.sql` is not there any more
    ");
    assert!(state.complete(&files("1a")), "the doubt is gone");
    assert_eq!(begin(&mut state, "1a 2c"), None);
}

#[test]
fn a_state_that_somebody_edited_is_told_with_a_way_on() {
    let edited = json!({ "data": { STATE_KEY: "{}" } });
    insta::assert_snapshot!(State::read(&edited).unwrap_err(), @"read what was done to the database from ConfigMap/database-state: missing field `volume_claim` at line 1 column 2; it was changed by hand: deploy with --reset-database to make the database afresh");
    insta::assert_snapshot!(State::read(&json!({ "data": {} })).unwrap_err(), @"read what was done to the database from ConfigMap/database-state: it has no key state.json; it was changed by hand: deploy with --reset-database to make the database afresh");
}

fn some_files() -> impl Strategy<Value = Vec<Migration>> {
    proptest::collection::btree_map("m/[0-3]", "[ab]", 0..4).prop_map(|files| {
        let files = files.into_iter().map(|(path, content)| Migration {
            path,
            blob: content.repeat(40).parse().unwrap(),
        });
        files.collect()
    })
}

proptest! {
    /// A database is kept exactly where what was applied is a prefix of what is wanted, and the reason names a file that
    /// is really different.
    #[test]
    fn only_a_prefix_is_kept(applied in some_files(), wanted in some_files()) {
        let why = Divergence::between(&applied, &wanted);
        prop_assert_eq!(why.is_none(), wanted.starts_with(&applied));
        let has = |files: &[Migration], path: &str| files.iter().any(|file| file.path == path);
        match why {
            Some(Divergence::Rewritten { file }) => {
                prop_assert!(has(&applied, &file) && has(&wanted, &file));
            }
            Some(Divergence::Removed { file }) => prop_assert!(has(&applied, &file) && !has(&wanted, &file)),
            Some(Divergence::Inserted { file, before }) => {
                prop_assert!(has(&wanted, &file) && has(&applied, &before) && file < before);
            }
            None => {}
        }
    }
}
