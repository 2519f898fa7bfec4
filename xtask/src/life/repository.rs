//! The files of the repository that is played with: parts of the example.

/// The repository's files in the beginning: those of the example that its second edition changes, and a few more.
pub(crate) const EXAMPLE: &[(&str, &str)] = &[
    ("README.md", "Notes.\n"),
    (
        "web/src/headline.txt",
        include_str!("../../../examples/web/src/headline.txt"),
    ),
    (
        "api/src/notes.rs",
        include_str!("../../../examples/api/src/notes.rs"),
    ),
    (
        "api/seed.sql",
        include_str!("../../../examples/api/seed.sql"),
    ),
    (
        "api/migrations/0001_notes.sql",
        include_str!("../../../examples/api/migrations/0001_notes.sql"),
    ),
    (
        "api/migrations/0002_notes_are_not_empty.sql",
        include_str!("../../../examples/api/migrations/0002_notes_are_not_empty.sql"),
    ),
];

/// What the second edition changes.
pub(crate) const SECOND_EDITION: &[(&str, &str)] = &[
    (
        "web/src/headline.txt",
        include_str!("../../../examples/editions/second/web/src/headline.txt"),
    ),
    (
        "api/src/notes.rs",
        include_str!("../../../examples/editions/second/api/src/notes.rs"),
    ),
    (
        "api/seed.sql",
        include_str!("../../../examples/editions/second/api/seed.sql"),
    ),
    (
        "api/migrations/0003_notes_have_authors.sql",
        include_str!(
            "../../../examples/editions/second/api/migrations/0003_notes_have_authors.sql"
        ),
    ),
];

/// What the second edition makes of a file, where it changes it.
pub(crate) fn second_edition(path: &str) -> Option<&'static str> {
    let mut changes = SECOND_EDITION.iter();
    let found = changes.find(|(changed, _)| *changed == path);
    found.map(|(_, text)| *text)
}
