use super::*;
use crate::attestation::{ISSUER, PREDICATE, Provenance};
use crate::names::Fence;
use crate::pulls::tests::pull;
use crate::record::VERSION;

mod attestation;

fn sha(digit: char) -> CommitSha {
    digit.to_string().repeat(40).parse().unwrap()
}

fn tree(digit: char) -> TreeSha {
    digit.to_string().repeat(40).parse().unwrap()
}

fn component(name: &str) -> ComponentName {
    name.parse().unwrap()
}

fn image(name: &str) -> PinnedImage {
    format!("ghcr.io/acme/{name}@sha256:{}", "1".repeat(64))
        .parse()
        .unwrap()
}

fn recorded(name: &str) -> (ComponentName, Recorded) {
    let recorded = Recorded {
        image: image(name),
        built_from: sha('b'),
        built_by: BuiltBy::Branch,
        unchanged_since: None,
    };
    (component(name), recorded)
}

fn record() -> Record {
    Record {
        version: VERSION,
        repository: RepositoryId(42),
        slug: "acme/shop".parse().unwrap(),
        subject: "pr-7".parse().unwrap(),
        head: sha('a'),
        tree: tree('7'),
        base: Some(sha('e')),
        components: [recorded("api"), recorded("web")].into(),
        pods: BTreeMap::new(),
        run: Fence {
            run: 12,
            attempt: 1,
        },
        approval: None,
        tested_at: "2025-12-19T14:32:00Z".parse().unwrap(),
    }
}

fn merged_pull(number: u64) -> PullRequest {
    PullRequest {
        state: PullState::Merged { commit: sha('d') },
        test_merge: None,
        ..pull(number)
    }
}

fn facts() -> ImageFacts {
    ImageFacts {
        present: true,
        damage: None,
        missing: Vec::new(),
        revision: Ok(Some(sha('b'))),
        parts: BTreeSet::new(),
    }
}

fn demand() -> Demand {
    let ci = "acme/ci".parse().unwrap();
    Demand {
        signer: Demand::signer(&ci, ".github/workflows/build.yml", "refs/heads/main"),
        self_hosted: false,
        repository: RepositoryId(42),
        default_ref: "refs/heads/main".into(),
    }
}

/// What the workflow says that has to build the images, in a run for pull request 7.
fn provenance() -> Provenance {
    Provenance {
        predicate: PREDICATE.into(),
        issuer: ISSUER.into(),
        signer: demand().signer,
        repository: "42".into(),
        commit: sha('b').to_string(),
        reference: "refs/pull/7/merge".into(),
        runner: "github-hosted".into(),
    }
}

fn runs(image: &str, commit: Option<(CommitSha, Lineage)>) -> Found {
    Found::Runs {
        image: image.to_owned(),
        commit,
    }
}

fn workload(name: &str) -> Workload {
    Workload {
        component: component(name),
        object: ObjectName::new(crate::objects::Kind::Deployment, name),
        container: name.to_owned(),
        found: runs("old", Some((sha('c'), Lineage::Ancestor))),
    }
}

/// Everything is as it should be: pull request 7 was merged as `dddddd…`, and production runs an older commit.
fn evidence() -> Evidence {
    Evidence {
        repository: RepositoryId(42),
        slug: "acme/shop".parse().unwrap(),
        default_branch: "main".into(),
        commit: Commit {
            sha: sha('d'),
            tree: tree('7'),
            parents: vec![sha('e')],
        },
        on_default_branch: true,
        pulls: vec![merged_pull(7)],
        records: vec![Ok(record())],
        images: [(image("api"), facts()), (image("web"), facts())].into(),
        attestations: Some(Attestations {
            demand: demand(),
            found: [image("api"), image("web")]
                .map(|image| (image, vec![Attestation::Verified(provenance())]))
                .into(),
        }),
        alike: BTreeMap::new(),
        gained: BTreeMap::new(),
        unwanted: None,
        intent: Intent::Promote,
        target: Target {
            name: "production".into(),
            namespace: "shop".parse().unwrap(),
            frozen: None,
            workloads: vec![workload("api"), workload("web")],
        },
    }
}

/// The links of the chain, each of which may be broken by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    Merged,
    Recorded,
    Signature,
    Repository,
    Tree,
    InRecord,
    BuiltBy,
    Attested,
    Present,
    Complete,
    Bytes,
    Revision,
    Workload,
    Container,
    Lineage,
    Frozen,
}

const BREAKS: [Break; 16] = [
    Break::Merged,
    Break::Recorded,
    Break::Signature,
    Break::Repository,
    Break::Tree,
    Break::InRecord,
    Break::BuiltBy,
    Break::Attested,
    Break::Present,
    Break::Complete,
    Break::Bytes,
    Break::Revision,
    Break::Workload,
    Break::Container,
    Break::Lineage,
    Break::Frozen,
];

fn web(evidence: &mut Evidence) -> &mut ImageFacts {
    evidence.images.get_mut(&image("web")).unwrap()
}

/// Lets the attestation of `web` say something else.
fn attest_web(evidence: &mut Evidence, change: impl Fn(&mut Provenance)) {
    let mut said = provenance();
    change(&mut said);
    let attestations = evidence.attestations.as_mut().unwrap();
    let said = vec![Attestation::Verified(said)];
    attestations.found.insert(image("web"), said);
}

fn of_web(evidence: &mut Evidence) -> &mut Found {
    &mut evidence.target.workloads[1].found
}

/// Breaks one link; a link that hangs on one that is broken already cannot be reached.
fn break_link(link: Break, evidence: &mut Evidence) {
    let other_repository = RecordRefused::OtherRepository {
        found: RepositoryId(43),
        wanted: RepositoryId(42),
    };
    match link {
        Break::Merged => evidence.on_default_branch = false,
        Break::Recorded => evidence.records.clear(),
        Break::Signature => refuse_records(evidence, &RecordRefused::Forged),
        Break::Repository => refuse_records(evidence, &other_repository),
        Break::Tree => evidence.commit.tree = tree('8'),
        Break::InRecord => change_record(evidence, |record| {
            record.components.remove(&component("api"));
        }),
        Break::BuiltBy => change_record(evidence, |record| {
            record
                .components
                .get_mut(&component("web"))
                .unwrap()
                .built_by = BuiltBy::Contributor;
        }),
        Break::Attested => {
            let by_another = |said: &mut Provenance| {
                said.signer = said.signer.replace("acme/ci", "acme/shop");
            };
            attest_web(evidence, by_another);
        }
        Break::Present => web(evidence).present = false,
        Break::Complete => web(evidence).missing = vec!["layer sha256:2".into()],
        Break::Bytes => web(evidence).damage = Some("a manifest should be 1 and is 2".into()),
        Break::Revision => web(evidence).revision = Ok(None),
        Break::Workload => *of_web(evidence) = Found::NoWorkload,
        Break::Container => {
            if *of_web(evidence) != Found::NoWorkload {
                *of_web(evidence) = Found::NoContainer {
                    containers: vec!["main".into()],
                };
            }
        }
        Break::Lineage => {
            if let Found::Runs { commit, .. } = of_web(evidence) {
                *commit = Some((sha('f'), Lineage::Unrelated));
            }
        }
        Break::Frozen => evidence.target.frozen = Some("the sale is on".into()),
    }
}

fn refuse_records(evidence: &mut Evidence, why: &RecordRefused) {
    for record in evidence.records.iter_mut().filter(|record| record.is_ok()) {
        *record = Err(why.clone());
    }
}

fn change_record(evidence: &mut Evidence, change: impl Fn(&mut Record)) {
    for record in evidence.records.iter_mut().flatten() {
        change(record);
    }
}

fn named(refusal: &Refusal) -> Break {
    match refusal {
        Refusal::NotMerged { .. } => Break::Merged,
        Refusal::NeverTested { .. } => Break::Recorded,
        Refusal::Record(RecordRefused::OtherRepository { .. }) => Break::Repository,
        Refusal::Record(_) => Break::Signature,
        Refusal::Skew { .. } => Break::Tree,
        Refusal::ComponentNotInRecord { .. } => Break::InRecord,
        Refusal::BuiltByContributor { .. } => Break::BuiltBy,
        Refusal::NotAttested { .. } => Break::Attested,
        Refusal::DigestMissing { .. } => Break::Present,
        Refusal::IndexIncomplete { .. } => Break::Complete,
        Refusal::Damaged { .. } => Break::Bytes,
        Refusal::RevisionDisagrees { .. } => Break::Revision,
        Refusal::NoSuchWorkload { .. } => Break::Workload,
        Refusal::NoSuchContainer { .. } => Break::Container,
        Refusal::Regression { .. } => Break::Lineage,
        Refusal::Frozen { .. } => Break::Frozen,
        Refusal::ReconciledFromGit { .. }
        | Refusal::NotAdopted { .. }
        | Refusal::EmptyTarget { .. } => {
            panic!("nothing broke {refusal}")
        }
    }
}

/// The broken links that can be seen: each hides what hangs on it.
fn visible(broken: &[Break]) -> Vec<Break> {
    let has = |link| broken.contains(&link);
    let no_record = has(Break::Recorded) || has(Break::Signature) || has(Break::Repository);
    let hidden = |link: &Break| match link {
        Break::Merged | Break::Recorded | Break::Workload | Break::Frozen => false,
        Break::Signature => has(Break::Recorded),
        Break::Repository => has(Break::Recorded) || has(Break::Signature),
        Break::Tree | Break::InRecord | Break::BuiltBy | Break::Attested | Break::Present => {
            no_record
        }
        Break::Complete | Break::Bytes => no_record || has(Break::Present),
        Break::Revision => {
            no_record || has(Break::Present) || has(Break::Complete) || has(Break::Bytes)
        }
        Break::Container => has(Break::Workload),
        Break::Lineage => has(Break::Workload) || has(Break::Container),
    };
    broken
        .iter()
        .copied()
        .filter(|link| !hidden(link))
        .collect()
}

#[test]
fn every_combination_of_broken_links_is_refused_with_every_one_that_can_be_seen() {
    for bits in 0_u32..1 << BREAKS.len() {
        let broken: Vec<Break> = BREAKS
            .into_iter()
            .enumerate()
            .filter(|(n, _)| bits & (1 << n) != 0)
            .map(|(_, link)| link)
            .collect();
        let mut evidence = evidence();
        for link in &broken {
            break_link(*link, &mut evidence);
        }
        let mut links = BTreeSet::new();
        let named: Vec<Break> = match decide(&evidence) {
            Verdict::Refused(refusals) => {
                links.extend(refusals.iter().map(Refusal::link));
                let mut named: Vec<Break> = refusals.iter().map(named).collect();
                named.sort_by_key(|link| BREAKS.iter().position(|b| b == link));
                named
            }
            Verdict::Promote { images, .. } => {
                assert_eq!(images.len(), 2);
                Vec::new()
            }
            Verdict::Nothing(nothing) => panic!("{nothing}"),
        };
        assert_eq!(named, visible(&broken), "{broken:?}");
        let chain = chain(&evidence);
        let marked = chain.iter().filter(|link| link.holds == Mark::Broken);
        let marked: BTreeSet<String> = marked.map(|link| link.name.clone()).collect();
        assert_eq!(marked, links, "the chain of {broken:?}");
    }
}

#[test]
fn each_refusal_tells_both_values_and_the_next_step() {
    let told: Vec<String> = BREAKS
        .into_iter()
        .map(|link| {
            let mut evidence = evidence();
            break_link(link, &mut evidence);
            match decide(&evidence) {
                Verdict::Refused(refusals) => refusals[0].to_string(),
                other => panic!("{link:?}: {other:?}"),
            }
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    dddddddddddddddddddddddddddddddddddddddd is not a commit of main; promote the commit that the merge left there
    dddddddddddddddddddddddddddddddddddddddd was never tested: there is no record of a preview of the pull request it merged, #7; let CI push images of it, test it by itself with `preview-deploy --commit dddddddddddddddddddddddddddddddddddddddd`, and promote it again
    a record cannot be believed: the record's signature is not ours: it was changed, forged, or signed with another PREVIEW_RECORD_KEY; deploy the preview again, and if the key is the same, find out who wrote that deployment
    a record cannot be believed: the record is of repository 43, not of 42; deploy a preview of this repository
    what was tested is not what was merged: the preview of pr-7 at aaaaaaa tested the tree 7777777777777777777777777777777777777777, and ddddddd has the tree 8888888888888888888888888888888888888888: main moved on from eeeeeee between the test and the merge; let CI push images of it, test it by itself with `preview-deploy --commit dddddddddddddddddddddddddddddddddddddddd`, and promote it again
    Deployment/api runs the component api, which the preview of pr-7 did not have; add it to preview.toml's components, or take it out of the target
    the image of web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, was built by a contributor's own workflow, which proves nothing about what is in it; let CI push images of it, test it by itself with `preview-deploy --commit dddddddddddddddddddddddddddddddddddddddd`, and promote it again
    the image of web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, is attested with the workflow https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main, and must be with https://github.com/acme/ci/.github/workflows/build.yml@refs/heads/main; let that one build and attest the image, and deploy the preview again
    the registry does not have the image of web that was tested, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111; find out what deleted it; let CI push images of it, test it by itself with `preview-deploy --commit dddddddddddddddddddddddddddddddddddddddd`, and promote it again
    the image of web that was tested, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, is incomplete: the registry lacks layer sha256:2; find out what deleted them; let CI push images of it, test it by itself with `preview-deploy --commit dddddddddddddddddddddddddddddddddddddddd`, and promote it again
    the registry serves other bytes than those of the image of web that was tested, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111: a manifest should be 1 and is 2; find out what changed them before anything from there runs again; let CI push images of it, test it by itself with `preview-deploy --commit dddddddddddddddddddddddddddddddddddddddd`, and promote it again
    the image of web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, says it was built from nothing at all, and the record says bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb; let CI push images of it, test it by itself with `preview-deploy --commit dddddddddddddddddddddddddddddddddddddddd`, and promote it again
    shop has no Deployment/web; create it once with its configuration, or correct the target in preview.toml
    Deployment/web in shop has no container "web", only main; correct the target in preview.toml
    Deployment/web runs ffffffffffffffffffffffffffffffffffffffff, which ddddddd does not contain, so promoting it would lose changes; promote a commit of main that contains both
    production is frozen: the sale is on; when it may be promoted to again: `preview-promote resume --target production`
    "#);
}

#[test]
fn a_whole_chain_as_it_is_shown() {
    insta::assert_snapshot!(crate::summary::chain_table(&chain(&evidence())).trim(), @r"
    ### Evidence

    | | Link | Wanted | Found |
    |---|---|---|---|
    | ✅ | merged | a commit of main | dddddddddddddddddddddddddddddddddddddddd |
    | ✅ | tested | a record that can be believed | pr-7 at aaaaaaa by run 12.1 |
    | ✅ | tree | 7777777777777777777777777777777777777777 | the same |
    | ✅ | api: in the record | an image | ghcr.io/acme/api@sha256:1111111111111111111111111111111111111111111111111111111111111111 |
    | ✅ | api: built by | trusted or branch | branch |
    | ✅ | api: attested by | https:&#8203;//github.com/acme/ci/.github/workflows/build.yml@&#8203;refs/heads/main | the same |
    | ✅ | api: in the registry | sha256:1111111111111111111111111111111111111111111111111111111111111111 | the same |
    | ✅ | api: complete | all pieces | the same |
    | ✅ | api: revision | bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb | the same |
    | ➖ | api: ran in the preview | sha256:1111111111111111111111111111111111111111111111111111111111111111 | not verified: no pod reports an image |
    | ✅ | web: in the record | an image | ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111 |
    | ✅ | web: built by | trusted or branch | branch |
    | ✅ | web: attested by | https:&#8203;//github.com/acme/ci/.github/workflows/build.yml@&#8203;refs/heads/main | the same |
    | ✅ | web: in the registry | sha256:1111111111111111111111111111111111111111111111111111111111111111 | the same |
    | ✅ | web: complete | all pieces | the same |
    | ✅ | web: revision | bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb | the same |
    | ➖ | web: ran in the preview | sha256:1111111111111111111111111111111111111111111111111111111111111111 | not verified: no pod reports an image |
    | ✅ | Deployment/api: there | Deployment/api, container api | runs old |
    | ✅ | Deployment/api: nothing lost | contained in ddddddd | ccccccc is contained in it |
    | ✅ | Deployment/web: there | Deployment/web, container web | runs old |
    | ✅ | Deployment/web: nothing lost | contained in ddddddd | ccccccc is contained in it |
    | ✅ | production: not frozen | no annotation preview-environments/frozen | not frozen |
    ");
}

#[test]
fn a_broken_chain_as_it_is_shown() {
    let mut evidence = evidence();
    for link in [Break::Tree, Break::Present, Break::Lineage] {
        break_link(link, &mut evidence);
    }
    insta::assert_snapshot!(crate::summary::chain_table(&chain(&evidence)).trim(), @r"
    ### Evidence

    | | Link | Wanted | Found |
    |---|---|---|---|
    | ✅ | merged | a commit of main | dddddddddddddddddddddddddddddddddddddddd |
    | ✅ | tested | a record that can be believed | pr-7 at aaaaaaa by run 12.1 |
    | ❌ | tree | 8888888888888888888888888888888888888888 | 7777777777777777777777777777777777777777 |
    | ✅ | api: in the record | an image | ghcr.io/acme/api@sha256:1111111111111111111111111111111111111111111111111111111111111111 |
    | ✅ | api: built by | trusted or branch | branch |
    | ✅ | api: attested by | https:&#8203;//github.com/acme/ci/.github/workflows/build.yml@&#8203;refs/heads/main | the same |
    | ✅ | api: in the registry | sha256:1111111111111111111111111111111111111111111111111111111111111111 | the same |
    | ✅ | api: complete | all pieces | the same |
    | ✅ | api: revision | bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb | the same |
    | ➖ | api: ran in the preview | sha256:1111111111111111111111111111111111111111111111111111111111111111 | not verified: no pod reports an image |
    | ✅ | web: in the record | an image | ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111 |
    | ✅ | web: built by | trusted or branch | branch |
    | ✅ | web: attested by | https:&#8203;//github.com/acme/ci/.github/workflows/build.yml@&#8203;refs/heads/main | the same |
    | ❌ | web: in the registry | sha256:1111111111111111111111111111111111111111111111111111111111111111 | not there |
    | ➖ | web: complete |  |  |
    | ➖ | web: revision |  |  |
    | ➖ | web: ran in the preview |  |  |
    | ✅ | Deployment/api: there | Deployment/api, container api | runs old |
    | ✅ | Deployment/api: nothing lost | contained in ddddddd | ccccccc is contained in it |
    | ✅ | Deployment/web: there | Deployment/web, container web | runs old |
    | ❌ | Deployment/web: nothing lost | contained in ddddddd | fffffff is not contained in it |
    | ✅ | production: not frozen | no annotation preview-environments/frozen | not frozen |
    ");
}

#[test]
fn without_a_record_what_hangs_on_it_is_unknown() {
    let mut evidence = evidence();
    break_link(Break::Recorded, &mut evidence);
    let unknown = chain(&evidence);
    let unknown = unknown.iter().filter(|link| link.holds == Mark::Unknown);
    assert_eq!(unknown.count(), 1 + 2 * 7);
}

fn refused(evidence: &Evidence) -> Vec<String> {
    match decide(evidence) {
        Verdict::Refused(refusals) => refusals.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

fn promotes(evidence: &Evidence) -> Record {
    match decide(evidence) {
        Verdict::Promote { record, .. } => *record,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_anybody_can_write_does_not_stop_a_good_record() {
    let mut evidence = evidence();
    evidence.records = vec![
        Err(RecordRefused::Forged),
        Ok(record()),
        Err(RecordRefused::Unsigned),
    ];
    promotes(&evidence);
}

#[test]
fn of_several_records_the_newest_of_the_merged_tree_counts() {
    let older = Record {
        tested_at: "2025-12-18T14:32:00Z".parse().unwrap(),
        ..record()
    };
    let other_tree = Record {
        tree: tree('8'),
        tested_at: "2025-12-20T14:32:00Z".parse().unwrap(),
        ..record()
    };
    let mut evidence = evidence();
    evidence.records = vec![Ok(other_tree.clone()), Ok(record()), Ok(older.clone())];
    assert_eq!(promotes(&evidence), record());
    // Where none tested the merged tree, the newest test says what was tested instead.
    evidence.commit.tree = tree('9');
    assert!(refused(&evidence)[0].contains(other_tree.tree.as_str()));
}

#[test]
fn skew_tells_whether_the_head_or_the_base_moved() {
    let mut evidence = evidence();
    evidence.commit.tree = tree('8');
    evidence.pulls[0].head = sha('9');
    insta::assert_snapshot!(refused(&evidence).join("\n"), @"what was tested is not what was merged: the preview of pr-7 at aaaaaaa tested the tree 7777777777777777777777777777777777777777, and ddddddd has the tree 8888888888888888888888888888888888888888: pr-7 was merged at 9999999, which no preview tested; let CI push images of it, test it by itself with `preview-deploy --commit dddddddddddddddddddddddddddddddddddddddd`, and promote it again");
}

#[test]
fn a_record_of_another_pull_request_proves_nothing_and_one_of_the_commit_does() {
    let mut evidence = evidence();
    change_record(&mut evidence, |record| {
        record.subject = "pr-8".parse().unwrap();
    });
    assert!(refused(&evidence)[0].contains("was never tested"));
    change_record(&mut evidence, |record| {
        record.subject = Subject::Commit(sha('d'));
    });
    promotes(&evidence);
}

#[test]
fn a_pull_request_that_was_not_merged_into_the_default_branch_proves_nothing() {
    for change in [
        |pull: &mut PullRequest| pull.state = PullState::Open,
        |pull: &mut PullRequest| pull.base_ref = "release".into(),
    ] {
        let mut evidence = evidence();
        change(&mut evidence.pulls[0]);
        assert!(refused(&evidence)[0].contains("belongs to no merged pull request"));
    }
}

#[test]
fn a_direct_push_was_never_tested() {
    let mut evidence = evidence();
    evidence.pulls.clear();
    evidence.records.clear();
    insta::assert_snapshot!(refused(&evidence).join("\n"), @"dddddddddddddddddddddddddddddddddddddddd was never tested: there is no record of a preview of it, and it belongs to no merged pull request; let CI push images of it, test it by itself with `preview-deploy --commit dddddddddddddddddddddddddddddddddddddddd`, and promote it again");
}

#[test]
fn an_image_that_nobody_looked_up_is_not_there() {
    let mut evidence = evidence();
    evidence.images.clear();
    assert_eq!(refused(&evidence).len(), 2);
}

#[test]
fn where_something_newer_runs_there_is_nothing_to_do_whatever_else_is_wrong() {
    let mut evidence = evidence();
    *of_web(&mut evidence) = runs("new", Some((sha('f'), Lineage::Descendant)));
    evidence.records.clear();
    let Verdict::Nothing(nothing) = decide(&evidence) else {
        panic!("something newer runs")
    };
    insta::assert_snapshot!(nothing, @"production runs fffffff in Deployment/web, which contains ddddddd: the newer promotion stands");
}

#[test]
fn it_runs_already_only_where_every_image_and_commit_is_this_one() {
    let same = |image: String| runs(&image, Some((sha('d'), Lineage::Same)));
    let mut evidence = evidence();
    evidence.target.workloads[0].found = same(image("api").to_string());
    promotes(&evidence);
    // Somebody set another image behind our back: our annotation alone proves nothing.
    *of_web(&mut evidence) = same("ghcr.io/acme/web:latest".into());
    promotes(&evidence);
    *of_web(&mut evidence) = runs(&image("web").to_string(), None);
    evidence.intent = Intent::Adopt;
    promotes(&evidence);
    *of_web(&mut evidence) = same(image("web").to_string());
    let Verdict::Nothing(nothing) = decide(&evidence) else {
        panic!("it runs already")
    };
    insta::assert_snapshot!(nothing, @"production runs ddddddd already, with exactly these images");
}

#[test]
fn a_target_that_is_nobodys_yet_takes_its_first_promotion_where_somebody_says_so() {
    let mut evidence = evidence();
    for workload in &mut evidence.target.workloads {
        workload.found = runs("busybox", None);
    }
    insta::assert_snapshot!(refused(&evidence)[0], @"Deployment/api in shop runs busybox, which no promotion brought there, so that nothing says whether ddddddd is newer; where it may be replaced, promote by hand once: `preview-promote --commit dddddddddddddddddddddddddddddddddddddddd --adopt`");
    evidence.intent = Intent::Adopt;
    promotes(&evidence);
    // What a promotion brought there is not given up for it.
    *of_web(&mut evidence) = runs("old", Some((sha('f'), Lineage::Unrelated)));
    assert!(refused(&evidence)[0].contains("would lose changes"));
}

#[test]
fn the_way_back_leads_to_what_was_tested_from_whatever_runs_and_through_a_freeze() {
    let mut evidence = evidence();
    evidence.intent = Intent::RollBack;
    evidence.target.frozen = Some("the sale is on".into());
    for lineage in [Lineage::Descendant, Lineage::Unrelated, Lineage::Ancestor] {
        *of_web(&mut evidence) = runs("new", Some((sha('f'), lineage)));
        promotes(&evidence);
        assert!(
            chain(&evidence)
                .iter()
                .all(|link| link.holds != Mark::Broken)
        );
    }
    // It is no way around the rest of the chain.
    web(&mut evidence).present = false;
    assert_eq!(refused(&evidence).len(), 1);
    *of_web(&mut evidence) = runs("busybox", None);
    assert_eq!(refused(&evidence).len(), 2);
}

#[test]
fn a_tree_that_differs_in_ignored_paths_alone_is_promoted_and_they_are_named() {
    let mut evidence = evidence();
    evidence.commit.tree = tree('8');
    evidence.alike = BTreeMap::from([(tree('7'), vec!["docs/index.md".to_owned()])]);
    assert_eq!(promotes(&evidence), record());
    let link = &chain(&evidence)[2];
    assert_eq!(link.holds, Mark::Holds);
    insta::assert_snapshot!(link.found, @"7777777777777777777777777777777777777777, which differs in ignored paths alone: docs/index.md");
    // One of the very tree is better, however old.
    let exact = Record {
        tree: tree('8'),
        tested_at: "2025-12-18T14:32:00Z".parse().unwrap(),
        ..record()
    };
    evidence.records.push(Ok(exact.clone()));
    assert_eq!(promotes(&evidence), exact);
}

#[test]
fn skew_names_what_the_tested_tree_lacked() {
    let mut evidence = evidence();
    evidence.commit.tree = tree('8');
    let titled = |digit, title: &str| Titled {
        sha: sha(digit),
        title: title.to_owned(),
    };
    let gained = Gained {
        commits: vec![
            titled('1', "Dearer\u{1b}[2J tea (#8)"),
            titled('2', &"long ".repeat(20)),
        ],
        more: 3,
    };
    evidence.gained = BTreeMap::from([(sha('e'), gained)]);
    insta::assert_snapshot!(refused(&evidence)[0], @"what was tested is not what was merged: the preview of pr-7 at aaaaaaa tested the tree 7777777777777777777777777777777777777777, and ddddddd has the tree 8888888888888888888888888888888888888888: main moved on from eeeeeee between the test and the merge, and the tested tree lacked 1111111 (Dearer tea (#8)), 2222222 (long long long long long long long long long long long long ) and 3 more; let CI push images of it, test it by itself with `preview-deploy --commit dddddddddddddddddddddddddddddddddddddddd`, and promote it again");
}

#[test]
fn what_a_preview_of_the_commit_itself_would_mend_is_known() {
    let mended = |link: Break| {
        let mut evidence = evidence();
        break_link(link, &mut evidence);
        match decide(&evidence) {
            Verdict::Refused(refusals) => refusals.iter().all(Refusal::is_mended_by_a_test),
            other => panic!("{link:?}: {other:?}"),
        }
    };
    let by_a_test: Vec<Break> = BREAKS.into_iter().filter(|link| mended(*link)).collect();
    insta::assert_snapshot!(format!("{by_a_test:?}"), @"[Recorded, Signature, Repository, Tree, BuiltBy, Attested, Present, Complete, Bytes, Revision]");
}

#[test]
fn a_target_reconciled_from_git_and_an_empty_one_are_refused() {
    let mut evidence = evidence();
    *of_web(&mut evidence) = Found::Reconciled {
        by: "Argo CD, by its label".into(),
    };
    let reconciled = refused(&evidence);
    evidence.target.workloads.clear();
    let told = [reconciled, refused(&evidence)].concat();
    insta::assert_snapshot!(told.join("\n"), @r"
    Deployment/web in shop is reconciled from git (Argo CD, by its label), which would undo the promotion; change the image in that repository, or take the workload out of it
    the target production names no workloads; name at least one in preview.toml
    ");
}

#[test]
fn what_was_to_have_no_preview_is_nothing_to_do_unless_it_was_tested_all_the_same() {
    let mut evidence = evidence();
    evidence.unwanted = Some((PrNumber::new(7).unwrap(), Unwanted::Draft));
    promotes(&evidence);
    evidence.records.clear();
    let Verdict::Nothing(nothing) = decide(&evidence) else {
        panic!("it was to have no preview")
    };
    insta::assert_snapshot!(nothing, @"#7, merged as ddddddd, was to have no preview: it is a draft (pull_requests.drafts = false); what it changed comes with the next one that is tested");
    evidence.intent = Intent::RollBack;
    assert!(refused(&evidence)[0].contains("was never tested"));
}

#[test]
fn two_workloads_of_one_component_ask_for_its_image_once() {
    let mut evidence = evidence();
    evidence.target.workloads.push(workload("web"));
    web(&mut evidence).present = false;
    assert_eq!(refused(&evidence).len(), 1);
}
