use super::*;
use crate::pulls::tests::pull;
use crate::record::Recorded;

fn sha(digit: char) -> CommitSha {
    digit.to_string().repeat(40).parse().unwrap()
}

fn evidence(component: &str, commit: char, parents: &[char], tree: char) -> ComponentEvidence {
    let name: ImageName = format!("ghcr.io/acme/{component}").parse().unwrap();
    let digest = format!("sha256:{}", "1".repeat(64)).parse().unwrap();
    ComponentEvidence {
        component: component.parse().unwrap(),
        tags: vec![Tag::Head(sha('a')), Tag::TestMerge(sha('b'))],
        image: Some(name.at(digest)),
        name,
        missing: Vec::new(),
        revision: Revision::Commit(BuiltFrom {
            commit: Commit {
                sha: sha(commit),
                tree: tree.to_string().repeat(40).parse().unwrap(),
                parents: parents.iter().copied().map(sha).collect(),
            },
            parents_on_base: parents
                .iter()
                .copied()
                .filter(|p| *p == 'e')
                .map(sha)
                .collect(),
        }),
        imported: Imported::Unknown,
        unchanged: None,
    }
}

fn accept(
    evidence: &[ComponentEvidence],
    previewed: &Previewed,
    shown: Option<&Shown>,
) -> Result<Accepted, Vec<ImageRefusal>> {
    super::accept(evidence, previewed, shown, Forks::Build)
}

#[test]
fn images_of_one_tree_are_accepted_with_their_commits_and_base() {
    // A re-run keeps its old B: two merges of one tree, and one component built from H itself.
    let accepted = accept(
        &[
            evidence("api", 'a', &['9'], '7'),
            evidence("web", 'b', &['e', 'a'], '7'),
        ],
        &pull(7).into(),
        None,
    )
    .unwrap();
    assert_eq!(accepted.base, Some(sha('e')));
    assert_eq!(accepted.tree.as_str(), "7".repeat(40));
    let built_from: Vec<&CommitSha> = accepted.images.values().map(|i| &i.built_from).collect();
    assert_eq!(built_from, [&sha('a'), &sha('b')]);
    assert_eq!(accepted.pinned().len(), 2);
}

#[test]
fn every_image_that_cannot_stand_for_the_head_is_named() {
    let good = || evidence("web", 'b', &['e', 'a'], '7');
    let refused = accept(
        &[
            ComponentEvidence {
                image: None,
                ..good()
            },
            ComponentEvidence {
                missing: vec!["layer sha256:2".into()],
                ..good()
            },
            ComponentEvidence {
                revision: Revision::None,
                ..good()
            },
            ComponentEvidence {
                revision: Revision::Unknown("main".into()),
                ..good()
            },
            ComponentEvidence {
                revision: Revision::Unclear("its platforms disagree".into()),
                ..good()
            },
            evidence("api", 'c', &['e'], '7'),
        ],
        &pull(7).into(),
        None,
    )
    .unwrap_err();
    let told: Vec<String> = refused.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    component web has no image: ghcr.io/acme/web has none of the tags aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (the head), bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb (its test merge); let CI push it under the tag of the head
    the image of component web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, is incomplete: the registry lacks layer sha256:2; run CI again to push it
    the image of component web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, does not say which commit it was built from, so nothing ties it to the head aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; let CI set the label org.opencontainers.image.revision to the commit it checked out
    the image of component web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, says it was built from "main", which is no commit of this repository, so neither the head aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa nor a merge of it into main; let CI set the label org.opencontainers.image.revision to the commit it checked out
    the image of component web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111: its platforms disagree
    the image of component api, ghcr.io/acme/api@sha256:1111111111111111111111111111111111111111111111111111111111111111, was built from cccccccccccccccccccccccccccccccccccccccc (parents: eeeeeee), which is neither the head aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa nor a merge of it into main; run CI again for that
    "#);
}

#[test]
fn components_of_different_trees_and_none_at_all_are_refused() {
    let refused = accept(
        &[
            evidence("api", 'a', &['9'], '8'),
            evidence("web", 'b', &['e', 'a'], '7'),
        ],
        &pull(7).into(),
        None,
    )
    .unwrap_err();
    insta::assert_snapshot!(refused[0], @"the images were built from different trees (api from aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa with tree 8888888888888888888888888888888888888888, web from bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb with tree 7777777777777777777777777777777777777777), so no merge could ever equal what the preview shows; run CI again to build all components from one commit");
    assert_eq!(refused.len(), 1);
    assert_eq!(
        accept(&[], &pull(7).into(), None),
        Err(vec![ImageRefusal::NoComponents])
    );
}

fn unchanged(component: &str) -> ComponentEvidence {
    let built = evidence(component, 'd', &[], '8');
    let image = built.image.clone().unwrap();
    let tested = Unchanged {
        recorded: Recorded {
            image,
            built_from: sha('d'),
            built_by: BuiltBy::Trusted,
            unchanged_since: None,
        },
        since: sha('5'),
        subject: "pr-6".parse().unwrap(),
    };
    ComponentEvidence {
        image: None,
        revision: Revision::None,
        unchanged: Some(Ok(tested)),
        ..built
    }
}

#[test]
fn a_component_that_is_as_it_was_keeps_its_own_b_and_says_nothing_of_the_tree() {
    let built = evidence("web", 'b', &['e', 'a'], '7');
    let accepted = accept(&[unchanged("api"), built], &pull(7).into(), None).unwrap();
    assert_eq!(accepted.tree.as_str(), "7".repeat(40));
    assert_eq!(accepted.base, Some(sha('e')));
    let api = &accepted.images[&"api".parse().unwrap()];
    assert_eq!(
        (&api.built_from, api.built_by),
        (&sha('d'), BuiltBy::Trusted)
    );
    let told: Vec<String> = accepted
        .unchanged()
        .map(|(component, tested)| format!("{component}: {tested}"))
        .collect();
    assert_eq!(told, ["api: #6, which became 5555555"]);
}

#[test]
fn where_nothing_was_built_the_preview_shows_what_github_merged() {
    let merge = Shown {
        commit: Commit {
            sha: sha('b'),
            tree: "7".repeat(40).parse().unwrap(),
            parents: vec![sha('e'), sha('a')],
        },
        base: Some(sha('e')),
    };
    let all = [unchanged("api"), unchanged("web")];
    let accepted = accept(&all, &pull(7).into(), Some(&merge)).unwrap();
    assert_eq!(
        (accepted.tree, accepted.base),
        (merge.commit.tree.clone(), merge.base.clone())
    );
    assert_eq!(accepted.images.len(), 2);

    let refused = accept(&all, &pull(7).into(), None).unwrap_err();
    assert_eq!(refused.len(), 2, "{refused:?}");
    let lacking = ComponentEvidence {
        unchanged: Some(Err(MustBeBuilt::Changed {
            path: "api/main.rs".into(),
            since: sha('5'),
        })),
        ..unchanged("api")
    };
    let refused = accept(&[lacking, unchanged("web")], &pull(7).into(), Some(&merge));
    let told: Vec<String> = refused
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"component api has no image: ghcr.io/acme/api has none of the tags aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (the head), bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb (its test merge), and it has to be built, for "api/main.rs" is not as it was in 5555555; let CI push it under the tag of the head"#);
}
