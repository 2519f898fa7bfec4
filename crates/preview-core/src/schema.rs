//! How values that are written as one word stand in a JSON schema: as text, whose form the reader checks.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::approvals::RunName;
use crate::names::{
    CommitSha, ComponentName, Fence, NamespaceName, PinnedImage, RepositorySlug, Subject,
};

macro_rules! text {
    ($($name:ident),+) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string" })
            }
        }
    )+};
}

text!(
    CommitSha,
    ComponentName,
    Fence,
    NamespaceName,
    PinnedImage,
    RepositorySlug,
    RunName,
    Subject
);
