//! The workflow of `preview-cleanup`.
