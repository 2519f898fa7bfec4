//! What a teardown proved.

use std::fmt;

use serde::Serialize;

/// Each thing that a preview left on the cluster, gone or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The Namespace first, then what was in it, then what outlives a Namespace.
    pub items: Vec<ReceiptItem>,
}

impl Receipt {
    /// Whether there is nothing left to wait for. A volume that its own policy keeps is not waited for.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.blockers().next().is_none()
    }

    /// What is still there although it should not be.
    pub fn blockers(&self) -> impl Iterator<Item = &ReceiptItem> {
        self.items
            .iter()
            .filter(|item| matches!(item.gone, Gone::No { .. }))
    }

    /// What stays, and needs somebody's decision.
    pub fn orphans(&self) -> impl Iterator<Item = &ReceiptItem> {
        self.items
            .iter()
            .filter(|item| matches!(item.gone, Gone::Kept { .. }))
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, item) in self.items.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{item}")?;
        }
        Ok(())
    }
}

/// One thing on a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReceiptItem {
    /// The thing, such as `Namespace/preview-pr-7`.
    pub what: String,
    /// Whether it is gone.
    #[serde(flatten)]
    pub gone: Gone,
}

impl ReceiptItem {
    pub(crate) fn gone(what: impl Into<String>, proof: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            gone: Gone::Yes {
                proof: proof.into(),
            },
        }
    }

    pub(crate) fn blocked(what: impl Into<String>, blocker: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            gone: Gone::No {
                blocker: blocker.into(),
            },
        }
    }

    pub(crate) fn kept(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            gone: Gone::Kept {
                reason: reason.into(),
            },
        }
    }
}

impl fmt::Display for ReceiptItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.gone {
            Gone::Yes { proof } => write!(f, "{}: gone ({proof})", self.what),
            Gone::No { blocker } => write!(f, "{}: still there: {blocker}", self.what),
            Gone::Kept { reason } => write!(f, "{}: kept: {reason}", self.what),
        }
    }
}

/// Whether a thing is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "gone", rename_all = "kebab-case")]
pub enum Gone {
    /// It is.
    Yes {
        /// How that is known.
        proof: String,
    },
    /// It is not.
    No {
        /// What blocks it: an object and its finalizer, where there is one.
        blocker: String,
    },
    /// Its own policy keeps it; nothing waits for it.
    Kept {
        /// Which policy, and what to do.
        reason: String,
    },
}
