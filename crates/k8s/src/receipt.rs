//! What a teardown proved.

use std::fmt;

use preview_core::outcome::{ReceiptItem, ReceiptState};

/// Each thing that a preview left on the cluster, gone or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The Namespace first, then what was in it, then what outlives a Namespace. Each has a note: how it is known to
    /// be gone, or what blocks or keeps it.
    pub items: Vec<ReceiptItem>,
}

impl Receipt {
    /// Whether there is nothing left to wait for. A volume that its own policy keeps is not waited for.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.items
            .iter()
            .all(|item| item.state != ReceiptState::Blocked)
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, item) in self.items.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}: {}", item.object, item.state)?;
            if let Some(note) = &item.note {
                write!(f, " ({note})")?;
            }
        }
        Ok(())
    }
}

pub(crate) fn gone(object: impl Into<String>, proof: impl Into<String>) -> ReceiptItem {
    item(object.into(), ReceiptState::Gone, proof.into())
}

pub(crate) fn blocked(object: impl Into<String>, blocker: impl Into<String>) -> ReceiptItem {
    item(object.into(), ReceiptState::Blocked, blocker.into())
}

pub(crate) fn kept(object: impl Into<String>, reason: impl Into<String>) -> ReceiptItem {
    item(object.into(), ReceiptState::Kept, reason.into())
}

fn item(object: String, state: ReceiptState, note: String) -> ReceiptItem {
    ReceiptItem {
        object,
        state,
        note: Some(note),
    }
}
