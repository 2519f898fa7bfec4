//! The labels that show image digests.

use preview_core::labels::ImageLabel;
use preview_github::LabelChanges;

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

#[tokio::test]
async fn image_labels_follow_the_images_and_go_when_nobody_has_them() {
    let stage = Stage::new().await;
    let one = stage
        .repository
        .open_pull_request("feature/tea", &[("tea.md", "green")]);
    let two = stage
        .repository
        .open_pull_request("feature/milk", &[("milk.md", "oat")]);
    stage.repository.add_label(one, "bug");
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
