use std::collections::BTreeMap;

use super::*;
use crate::config::Config;
use crate::names::RepositoryId;
use crate::record::{BuiltBy, VERSION};

fn sha(digit: char) -> CommitSha {
    digit.to_string().repeat(40).parse().unwrap()
}

fn pr(number: u64) -> PrNumber {
    PrNumber::new(number).unwrap()
}

fn component() -> Component {
    let text = r#"
        host = "{pr}.pr.example.com"
        [components.web]
        image = "ghcr.io/acme/web"
        unchanged = ["web/**", "Cargo.lock"]
    "#;
    Config::parse("preview.toml", text).unwrap().components[0].clone()
}

/// A commit of the base branch whose tree has the commit's digit.
fn commit(digit: char) -> Commit {
    Commit {
        sha: sha(digit),
        tree: digit.to_string().repeat(40).parse().unwrap(),
        parents: Vec::new(),
    }
}

fn record(of: &str, tree: char) -> Record {
    let image: PinnedImage = format!("ghcr.io/acme/web@sha256:{}", "1".repeat(64))
        .parse()
        .unwrap();
    let recorded = Recorded {
        image,
        built_from: sha('b'),
        built_by: BuiltBy::Branch,
        unchanged_since: None,
    };
    Record {
        version: VERSION,
        repository: RepositoryId(42),
        slug: "acme/shop".parse().unwrap(),
        subject: of.parse().unwrap(),
        head: sha('a'),
        tree: tree.to_string().repeat(40).parse().unwrap(),
        base: None,
        pods: BTreeMap::new(),
        components: BTreeMap::from([("web".parse().unwrap(), recorded)]),
        run: "12.1".parse().unwrap(),
        approval: None,
        tested_at: "2025-12-19T14:32:00Z".parse().unwrap(),
    }
}

/// The commit `5`, to which #6 was merged, with these records.
fn past(records: Vec<Result<Record, RecordRefused>>) -> Past {
    Past {
        commit: commit('5'),
        merged: vec![pr(6)],
        records,
    }
}

/// The reason, or the commit since when it is as it was.
fn judged(past: &[Past], differs: Option<&[&str]>) -> String {
    let differs: Option<Vec<String>> =
        differs.map(|paths| paths.iter().map(|path| (*path).to_owned()).collect());
    match unchanged(&component(), past, differs.as_deref()) {
        Ok(tested) => format!("as in {}, of {}", tested.since.short(), tested.subject),
        Err(why) => why.to_string(),
    }
}

#[test]
fn what_it_is_built_from_decides_and_nothing_else() {
    let tested = [past(vec![Ok(record("pr-6", '5'))])];
    let told = [
        judged(&tested, Some(&[])),
        judged(&tested, Some(&["README.md", "api/main.rs", "website/x"])),
        judged(&tested, Some(&["api/main.rs", "web/index.html", "web/x"])),
        judged(&tested, Some(&["Cargo.lock"])),
        judged(&tested, None),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    as in 5555555, of pr-6
    as in 5555555, of pr-6
    "web/index.html" is not as it was in 5555555
    "Cargo.lock" is not as it was in 5555555
    GitHub lists only a part of the repository's files, so nobody can say that it is as it was in 5555555
    "#);
}

#[test]
fn only_a_record_of_what_became_the_base_counts() {
    let unchanged: Option<&[&str]> = Some(&[]);
    let table = [
        ("no record", vec![]),
        (
            "of a pull request that was not merged",
            vec![Ok(record("pr-9", '5'))],
        ),
        ("of other files", vec![Ok(record("pr-6", '4'))]),
        ("that nobody signed", vec![Err(RecordRefused::Unsigned)]),
        (
            "of the commit",
            vec![Ok(record(&format!("commit-{}", sha('5')), '5'))],
        ),
        (
            "a good one beside a forged one",
            vec![Err(RecordRefused::Forged), Ok(record("pr-6", '5'))],
        ),
    ];
    let told =
        table.map(|(what, records)| format!("{what}: {}", judged(&[past(records)], unchanged)));
    insta::assert_snapshot!(told.join("\n"), @"
    no record: no preview tested its base 5555555
    of a pull request that was not merged: no preview tested its base 5555555
    of other files: no preview tested its base 5555555
    that nobody signed: the record of 5555555 cannot be taken (the record is unsigned, so anybody may have written it; give preview-deploy the secret PREVIEW_RECORD_KEY and deploy the preview again, or set `promote.unsigned_records = true` in preview.toml)
    of the commit: as in 5555555, of commit-5555555555555555555555555555555555555555
    a good one beside a forged one: as in 5555555, of pr-6
    ");
}

#[test]
fn the_nearest_commit_that_was_tested_counts_and_its_newest_record() {
    let untested = |digit| Past {
        commit: commit(digit),
        merged: Vec::new(),
        records: Vec::new(),
    };
    let older = record("pr-6", '5');
    let mut newer = record("pr-6", '5');
    newer.tested_at = "2025-12-20T09:00:00Z".parse().unwrap();
    newer.run = "13.1".parse().unwrap();
    let history = [
        untested('7'),
        untested('6'),
        past(vec![Ok(newer.clone()), Ok(older)]),
    ];
    assert_eq!(judged(&history, Some(&[])), "as in 5555555, of pr-6");
    assert_eq!(nearest(&history).unwrap(), (&commit('5'), &newer));
    insta::assert_snapshot!(judged(&history[..2], None), @"no preview tested its base 7777777 or the commit before it");
    insta::assert_snapshot!(judged(&[], None), @"GitHub has no test merge of the head that could be compared with the base");
}

#[test]
fn a_record_without_the_component_or_with_another_image_of_it_does_not_help() {
    let mut without = record("pr-6", '5');
    without.components.clear();
    let mut moved = record("pr-6", '5');
    let image = format!("ghcr.io/acme/frontend@sha256:{}", "1".repeat(64));
    for recorded in moved.components.values_mut() {
        recorded.image = image.parse().unwrap();
    }
    let told = [without, moved].map(|record| judged(&[past(vec![Ok(record)])], Some(&[])));
    insta::assert_snapshot!(told.join("\n"), @"
    the preview of pr-6, which tested 5555555, did not have it
    its image was ghcr.io/acme/frontend in 5555555
    ");
}

#[test]
fn the_registry_must_still_have_it_and_the_image_must_say_what_its_record_says() {
    let tested = unchanged(
        &component(),
        &[past(vec![Ok(record("pr-6", '5'))])],
        Some(&[]),
    )
    .unwrap();
    let whole = Vec::new;
    assert_eq!(
        tested.clone().checked(whole(), Ok(Some(sha('b')))),
        Ok(tested.clone())
    );
    let refused = [
        tested
            .clone()
            .checked(vec!["layer sha256:2".into()], Ok(Some(sha('b')))),
        tested.clone().checked(whole(), Ok(Some(sha('a')))),
        tested.clone().checked(whole(), Ok(None)),
        tested.checked(whole(), Err("its platforms disagree".into())),
    ]
    .map(|refused| refused.unwrap_err().to_string());
    insta::assert_snapshot!(refused.join("\n"), @r#"
    the registry lacks layer sha256:2 of its image of 5555555, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111
    its image of 5555555, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, says it was built from aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, and the record says bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
    its image of 5555555, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, says it was built from nothing at all, and the record says bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
    its image of 5555555, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, says it was built from "its platforms disagree", and the record says bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
    "#);
}

#[test]
fn the_comment_says_as_what_it_was_tested() {
    use crate::comment::Note;
    use crate::deploy::TestedAs;
    let note = |subject: &str| Note::Unchanged {
        component: "api".parse().unwrap(),
        tested: TestedAs {
            subject: subject.parse().unwrap(),
            since: sha('5'),
        },
    };
    let told = [note("pr-6"), note(&format!("commit-{}", sha('5')))].map(|note| note.to_string());
    insta::assert_snapshot!(told.join("\n"), @"
    API is as it was and was not built again: its image is the one that was tested with #6, which became 5555555.
    API is as it was and was not built again: its image is the one that was tested with 5555555.
    ");
}
