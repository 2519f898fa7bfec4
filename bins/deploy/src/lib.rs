//! The workflow of `preview-deploy`.
