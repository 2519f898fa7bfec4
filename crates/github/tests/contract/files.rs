//! Files: of a pull request, of a tree, and what is in them.

use preview_core::names::BlobSha;
use preview_core::pulls::{ChangedFile, ChangedFiles, FileStatus};

use crate::*;

const FIRST: (&str, &str) = ("api/migrations/0001.sql", "create table note (id int);\n");
const SECOND: (&str, &str) = (
    "api/migrations/0002.sql",
    "alter table note add text text;\n",
);

fn file(path: &str, status: FileStatus, previous: Option<&str>) -> ChangedFile {
    ChangedFile {
        path: path.to_owned(),
        previous_path: previous.map(str::to_owned),
        status,
    }
}

#[tokio::test]
async fn the_files_of_a_pull_request_are_what_its_head_changed_whatever_happened_to_the_base() {
    let stage = Stage::new().await;
    stage.repository.push_to_base(&[
        ("web/page.html", "<p>one</p>"),
        ("web/old.css", "p { color: teal }"),
        ("api/gone.rs", "fn gone() {}"),
    ]);
    let number = stage.repository.open_pull_request(
        "feature/tea",
        &[
            ("web/page.html", "<p>two</p>"),
            ("web/old.css", ""),
            ("web/new.css", "p { color: teal }"),
            ("api/gone.rs", ""),
            ("api/new.rs", "fn new() {}"),
        ],
    );
    stage
        .repository
        .push_to_base(&[("docs/base.md", "moved on")]);

    let changed = stage.github.changed_files(pr(number)).await.unwrap();
    assert_eq!(
        changed.files(),
        [
            file("api/gone.rs", FileStatus::Removed, None),
            file("api/new.rs", FileStatus::Added, None),
            file("web/new.css", FileStatus::Renamed, Some("web/old.css")),
            file("web/page.html", FileStatus::Modified, None),
        ]
    );
    assert!(changed.are_all());
    let renamed: Vec<&str> = changed.files()[2].paths().collect();
    assert_eq!(renamed, ["web/new.css", "web/old.css"]);
    let absent = stage.github.changed_files(pr(999)).await.unwrap_err();
    assert!(
        matches!(absent.problem, Problem::NotFound { .. }),
        "{absent}"
    );
    stage.conforms();
}

#[tokio::test]
async fn all_pages_of_a_pull_requests_files_are_read_and_the_end_of_githubs_list_is_noticed() {
    let stage = Stage::new().await;
    for (count, are_all) in [(101, true), (ChangedFiles::MOST + 1, false)] {
        let paths: Vec<String> = (0..count).map(|n| format!("many/{n:04}.txt")).collect();
        let changes: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "x")).collect();
        let branch = format!("feature/{count}");
        let number = stage.repository.open_pull_request(&branch, &changes);
        let changed = stage.github.changed_files(pr(number)).await.unwrap();
        assert_eq!(changed.files().len(), count.min(ChangedFiles::MOST));
        assert_eq!(changed.are_all(), are_all);
    }
    stage.conforms();
}

#[tokio::test]
async fn the_files_of_a_tree_come_with_their_contents() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/notes", &[SECOND, FIRST]);
    let b = stage.pull(number).await.test_merge.unwrap();
    let tree = stage.github.commit(&b).await.unwrap().unwrap().tree;
    let files = stage.github.files_of_tree(&tree).await.unwrap();
    let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["README.md", FIRST.0, SECOND.0]);
    for ((path, blob), content) in files.iter().zip(["A shop", FIRST.1, SECOND.1]) {
        let bytes = stage.github.blob(blob).await.unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), content, "{path}");
    }

    let nowhere = "f".repeat(40);
    let nowhere_tree = nowhere.parse().unwrap();
    let error = stage.github.files_of_tree(&nowhere_tree).await.unwrap_err();
    assert!(matches!(error.problem, Problem::NotFound { .. }), "{error}");
    let nowhere: BlobSha = nowhere.parse().unwrap();
    let error = stage.github.blob(&nowhere).await.unwrap_err();
    assert!(matches!(error.problem, Problem::NotFound { .. }), "{error}");
    stage.conforms();
}
