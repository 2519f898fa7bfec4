//! The labels that show image digests.

use preview_core::labels::ImageLabel;
use preview_github::{CarriedLabel, LabelChanges};

use crate::*;

const PREFIX: &str = "image-digest/";

fn label(component: &str, digit: char) -> ImageLabel {
    let hex = digit.to_string().repeat(64);
    let name: String = format!("{PREFIX}{component}:sha256:{hex}")
        .chars()
        .take(50)
        .collect();
    ImageLabel {
        name,
        description: format!("sha256:{hex}"),
    }
}

/// Two pull requests; the first carries a label that is none of ours.
fn two_pulls(stage: &Stage) -> [u64; 2] {
    let open = |branch, changes| stage.repository.open_pull_request(branch, changes);
    let one = open("feature/tea", &[("tea.md", "green")]);
    let two = open("feature/milk", &[("milk.md", "oat")]);
    stage.repository.add_label(one, "bug");
    [one, two]
}

#[tokio::test]
async fn image_labels_follow_the_images_and_go_when_nobody_has_them() {
    let stage = Stage::new().await;
    let [one, two] = two_pulls(&stage);
    let set = async |number: u64, wanted: &[ImageLabel]| {
        stage
            .github
            .set_image_labels(pr(number), wanted, PREFIX)
            .await
            .unwrap()
    };
    let [api, web, web_later] = [label("api", 'a'), label("web", 'b'), label("web", 'c')];
    set(one, &[api.clone(), web.clone()]).await;
    set(two, std::slice::from_ref(&api)).await;
    assert_eq!(stage.repository.labels(one), ["bug", &api.name, &web.name]);

    let changes = set(one, &[api.clone(), web_later.clone()]).await;
    assert_eq!(
        (&changes.removed, &changes.deleted),
        (&vec![web.name.clone()], &vec![web.name.clone()])
    );
    assert_eq!(
        set(one, &[api.clone(), web_later.clone()]).await,
        LabelChanges::default()
    );

    let changes = set(one, &[]).await;
    assert_eq!(changes.removed, [api.name.clone(), web_later.name.clone()]);
    assert_eq!(
        changes.deleted,
        [web_later.name],
        "the other pull request has the api's label too"
    );
    assert_eq!(stage.repository.labels(one), ["bug"]);
    set(two, &[]).await;
    let left: Vec<String> = stage
        .repository
        .label_definitions()
        .into_iter()
        .map(|label| label.name)
        .collect();
    assert!(
        !left.iter().any(|name| name.starts_with(PREFIX)),
        "{left:?}"
    );
    stage.conforms();
}

#[tokio::test]
async fn an_image_label_that_somebody_added_by_hand_gets_its_digest_back() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let api = label("api", 'a');
    stage.repository.add_label(number, &api.name);
    stage.repository.add_label(number, &label("api", 'f').name);
    let changes = stage
        .github
        .set_image_labels(pr(number), std::slice::from_ref(&api), PREFIX)
        .await
        .unwrap();
    assert_eq!(changes.defined, [api.name.as_str()]);
    assert_eq!(stage.repository.labels(number), [api.name.as_str()]);
    let defined = stage.repository.label_definitions();
    let defined = defined.iter().find(|label| label.name == api.name).unwrap();
    assert_eq!(defined.description.as_ref(), Some(&api.description));
    stage.conforms();
}

/// What `pr` carries with what else carries it.
async fn carried(stage: &Stage, number: u64) -> Vec<CarriedLabel> {
    let read = stage.github.standing(pr(number), "preview");
    read.await.unwrap().labels
}

#[tokio::test]
async fn a_label_that_nothing_else_carries_becomes_the_next_one_of_its_component() {
    let stage = Stage::new().await;
    let [one, two] = two_pulls(&stage);
    let [api, web] = [label("api", 'a'), label("web", 'b')];
    let set = async |number: u64, wanted: &[ImageLabel]| {
        let set = stage.github.set_image_labels(pr(number), wanted, PREFIX);
        set.await.unwrap()
    };
    set(one, &[api.clone(), web.clone()]).await;
    set(two, std::slice::from_ref(&api)).await;

    let replace = async |wanted: &[ImageLabel]| {
        let carried = carried(&stage, one).await;
        let replace = stage
            .github
            .replace_image_labels(pr(one), &carried, wanted, PREFIX);
        replace.await.unwrap()
    };
    let [api_later, web_later] = [label("api", 'c'), label("web", 'd')];
    let asked = stage.server.traffic();
    asked.forget();
    let changes = replace(&[api.clone(), web_later.clone()]).await;
    assert_eq!(changes.renamed, [web.name.as_str()]);
    let asked: Vec<String> = asked
        .exchanges()
        .into_iter()
        .map(|one| one.method)
        .collect();
    assert_eq!(asked, ["POST", "PATCH"], "the question, and the new name");
    assert_eq!(
        stage.repository.labels(one),
        ["bug", &api.name, &web_later.name]
    );
    assert_eq!(
        replace(&[api.clone(), web_later.clone()]).await,
        LabelChanges::default()
    );

    // The other pull request keeps the api's.
    let changes = replace(&[api_later.clone(), web_later.clone()]).await;
    assert_eq!(
        (changes.renamed.len(), &changes.removed),
        (0, &vec![api.name.clone()])
    );
    assert_eq!(stage.repository.labels(two), [api.name.as_str()]);
    assert_eq!(
        stage.repository.labels(one),
        ["bug", &web_later.name, &api_later.name]
    );
    let described = stage.repository.label_definitions().into_iter();
    let described = described.filter(|label| label.name.starts_with(PREFIX));
    assert!(
        described
            .into_iter()
            .all(|label| label.description.is_some())
    );
    stage.conforms();
}

#[tokio::test]
async fn a_label_does_not_take_the_name_that_another_one_has() {
    let stage = Stage::new().await;
    let one = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let two = stage
        .repository
        .open_pull_request("feature/milk", &[("milk.md", "oat")]);
    let [web, later] = [label("web", 'b'), label("web", 'c')];
    for (number, label) in [(one, &web), (two, &later)] {
        let wanted = std::slice::from_ref(label);
        let set = stage.github.set_image_labels(pr(number), wanted, PREFIX);
        set.await.unwrap();
    }
    let carried = carried(&stage, one).await;
    let wanted = std::slice::from_ref(&later);
    let changes = stage
        .github
        .replace_image_labels(pr(one), &carried, wanted, PREFIX);
    let changes = changes.await.unwrap();
    assert_eq!(changes.deleted, [web.name.as_str()]);
    for number in [one, two] {
        assert_eq!(stage.repository.labels(number), [later.name.as_str()]);
    }
    // What this run has read may be old by the time: a label that is gone is made anew.
    let gone = [CarriedLabel {
        name: web.name.clone(),
        description: Some(web.description.clone()),
        is_shared: false,
    }];
    let replace = stage
        .github
        .replace_image_labels(pr(two), &gone, wanted, PREFIX);
    replace.await.unwrap();
    assert_eq!(stage.repository.labels(two), [later.name.as_str()]);
    stage.conforms();
}
