//! Pull requests of forks, whose images were imported.

use std::collections::BTreeMap;

use preview_core::RepositoryId;
use preview_core::deployments::{ENVIRONMENT, IMPORT};
use preview_core::import::{Import, VERSION};
use preview_core::names::{ComponentName, PinnedImage, PrNumber};
use preview_core::record::{BuiltBy, RecordKey};
use sandbox::registry::Image;

use crate::shop::RECORD_KEY;
use crate::*;

/// A fork's pull request, and what `preview-deploy import` leaves of it: both tags, and the record.
async fn imported(shop: &Shop) -> u64 {
    let number = shop.repository.open_pull_request_from_fork(
        "mallory",
        "feature/cart",
        &[("web/cart.html", "a cart")],
    );
    shop.build(number);
    let head = shop.repository.head_of(number);
    let merge = shop.repository.merge_commit_of(number).unwrap();
    let mut images = BTreeMap::<ComponentName, PinnedImage>::new();
    for component in ["web", "api"] {
        let image = Image::of(&merge).containing(component);
        let image = shop.publish(component, &format!("pr-{number}"), &image);
        images.insert(component.parse().unwrap(), image.parse().unwrap());
    }
    let import = Import {
        version: VERSION,
        repository: RepositoryId(shop.repository.id()),
        pull: PrNumber::new(number).unwrap(),
        head: head.parse().unwrap(),
        images,
        built_by: BuiltBy::Trusted,
        run: "50.1".parse().unwrap(),
        imported_at: "2026-11-28T14:32:00Z".parse().unwrap(),
    };
    let request = DeploymentRequest {
        reference: import.head.clone(),
        environment: ENVIRONMENT.to_owned(),
        task: IMPORT.to_owned(),
        description: "Imported".to_owned(),
        payload: import.payload(&RecordKey::new(RECORD_KEY).unwrap()),
        production: false,
        transient: true,
    };
    let github = github(shop);
    let deployment = github.create_deployment(&request).await.unwrap();
    let success = NewDeploymentStatus {
        state: DeploymentState::Success,
        description: "Imported".to_owned(),
        log_url: None,
        environment_url: None,
    };
    let set = github.set_deployment_status(deployment.id, &success).await;
    set.unwrap();
    number
}

/// How many versions of images there are, and the state of each deployment.
fn left(shop: &Shop) -> (usize, Vec<String>) {
    let deployments = shop.repository.deployments().into_iter();
    let states = deployments.map(|deployment| deployment.state).collect();
    (shop.world.github.packages().len(), states)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_one_takes_its_images_and_what_tells_of_their_import_along() {
    let shop = Shop::open().await;
    let number = imported(&shop).await;
    assert_eq!(left(&shop), (4, vec!["success".to_owned()]));
    shop.repository.close(number);
    on_closed(&shop, number).await.exits(0);
    assert_eq!(left(&shop), (0, vec!["inactive".to_owned()]));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_imported_and_never_deployed_is_put_away_by_a_sweep() {
    let shop = Shop::open().await;
    let number = imported(&shop).await;
    let sweep = async || shop.run(CLEANUP, &["sweep"], &[]).await.exits(0);
    sweep().await;
    assert_eq!(left(&shop), (4, vec!["success".to_owned()]));
    shop.repository.close(number);
    sweep().await;
    assert_eq!(left(&shop), (0, vec!["inactive".to_owned()]));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_one_keeps_both_until_it_is_promoted() {
    let shop = Shop::open().await;
    let number = imported(&shop).await;
    let merged = shop.repository.merge(number, MergeStyle::Squash);
    on_closed(&shop, number).await.exits(0);
    assert_eq!(left(&shop), (4, vec!["success".to_owned()]));
    promoted(&shop, &merged, json!({})).await;
    on_closed(&shop, number).await.exits(0);
    let (images, states) = left(&shop);
    assert_eq!((images, states[0].as_str()), (0, "inactive"));
    shop.close();
}
