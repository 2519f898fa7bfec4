//! Who we are to a cluster, and what it lets us do.

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use preview_core::rights::Right;

use crate::cluster::Cluster;
use crate::error::Error;

/// Rights that are asked for at the same time.
const PARALLEL: usize = 8;

impl Cluster {
    /// The account's name, as the cluster knows it.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn account(&self) -> Result<String, Error> {
        let operation = self.operation("ask the cluster who we are".to_owned());
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let (params, question) = (PostParams::default(), SelfSubjectReview::default());
        let answer = self.list(&operation, || api.create(&params, &question));
        let user = answer.await?.status.and_then(|status| status.user_info);
        Ok(user.and_then(|user| user.username).unwrap_or_default())
    }

    /// Each of `rights` with whether the account has it, in all namespaces. Asking leaves nothing behind:
    /// <https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access>.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn may(&self, rights: Vec<Right>) -> Result<Vec<(Right, bool)>, Error> {
        futures::stream::iter(rights)
            .map(|right| async move { Ok((right, self.may_one(right).await?)) })
            .buffered(PARALLEL)
            .try_collect()
            .await
    }

    async fn may_one(&self, right: Right) -> Result<bool, Error> {
        let Right { resource, verb } = right;
        let operation = self.operation(format!("ask whether we may {verb} {resource}"));
        let (name, group) = resource.split_once('.').unwrap_or((resource, ""));
        let (name, part) = name.split_once('/').unwrap_or((name, ""));
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let question = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: some(group),
                    resource: some(name),
                    subresource: some(part),
                    verb: some(verb),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let params = PostParams::default();
        let answer = self.list(&operation, || api.create(&params, &question));
        Ok(answer.await?.status.is_some_and(|status| status.allowed))
    }
}
