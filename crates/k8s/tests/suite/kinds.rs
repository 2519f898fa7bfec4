//! Which kinds a cluster serves.

use preview_core::objects::Kind;

use super::stage::Stage;

pub(crate) async fn every_kind_that_we_write_is_served_where_its_definition_is_installed(
    stage: &Stage,
) {
    let missing = stage.us.missing_kinds(&Kind::ALL).await.unwrap();
    assert_eq!(missing, []);
}
