//! Labels: their names in paths, and their limits.

use crate::*;

#[tokio::test]
async fn a_labels_name_is_percent_encoded_exactly_once() {
    let server = MockServer::start().await;
    let old = "image-digest/web:sha256:50% off";
    let new = "image-digest/web:sha256:0123456789abcdef0123456789";
    serve(
        &server,
        "GET",
        "/repos/acme/shop/issues/7/labels",
        ok(json!([{ "name": old, "description": null }, { "name": "bug", "description": null }])),
    )
    .await;
    serve(
        &server,
        "POST",
        "/repos/acme/shop/issues/7/labels",
        ok(json!([])),
    )
    .await;
    serve(
        &server,
        "POST",
        "/repos/acme/shop/labels",
        ResponseTemplate::new(201).set_body_json(json!({ "name": new, "description": "d" })),
    )
    .await;
    serve(&server, "GET", "/repos/acme/shop/issues", ok(json!([]))).await;
    Mock::given(method("DELETE"))
        .respond_with(ResponseTemplate::new(204))
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .respond_with(says(404, "Not Found"))
        .with_priority(10)
        .mount(&server)
        .await;
    let wanted = [ImageLabel {
        name: new.into(),
        description: "d".into(),
    }];
    let changes = client(&server)
        .set_image_labels(pr(7), &wanted, "image-digest/")
        .await
        .unwrap();
    insta::assert_debug_snapshot!(changes, @r#"
    LabelChanges {
        defined: [
            "image-digest/web:sha256:0123456789abcdef0123456789",
        ],
        added: [
            "image-digest/web:sha256:0123456789abcdef0123456789",
        ],
        removed: [
            "image-digest/web:sha256:50% off",
        ],
        deleted: [
            "image-digest/web:sha256:50% off",
        ],
    }
    "#);

    insta::assert_snapshot!(sent(&server).await, @r"
    GET /repos/acme/shop/issues/7/labels?per_page=100
    GET /repos/acme/shop/labels/image-digest%2Fweb%3Asha256%3A0123456789abcdef0123456789
    POST /repos/acme/shop/labels
    POST /repos/acme/shop/issues/7/labels
    GET /repos/acme/shop/issues?state=all&labels=image-digest%2Fweb%3Asha256%3A50%25%20off&per_page=2
    DELETE /repos/acme/shop/labels/image-digest%2Fweb%3Asha256%3A50%25%20off
    ");
}

#[tokio::test]
async fn a_label_beyond_githubs_limits_is_refused_before_anything_is_asked() {
    let server = MockServer::start().await;
    let label = |name: &str, description: &str| ImageLabel {
        name: name.into(),
        description: description.into(),
    };
    let long = format!("image-digest/web:sha256:{}", "0".repeat(36));
    let mut told = Vec::new();
    for wanted in [
        label(&long, ""),
        label("image-digest/a,b", ""),
        label("bug", ""),
        label("image-digest/web", &"d".repeat(101)),
    ] {
        let error = client(&server)
            .set_image_labels(pr(7), &[wanted], "image-digest/")
            .await
            .unwrap_err();
        told.push(error.to_string());
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    cannot set the labels image-digest/… of pull request #7 of acme/shop: the label "image-digest/web:sha256:000000000000000000000000000000000000" has 60 characters; GitHub takes 50, none of them a comma
    cannot set the labels image-digest/… of pull request #7 of acme/shop: the label "image-digest/a,b" has 16 characters; GitHub takes 50, none of them a comma
    cannot set the labels image-digest/… of pull request #7 of acme/shop: the label "bug" does not start with "image-digest/"
    cannot set the labels image-digest/… of pull request #7 of acme/shop: the description of label "image-digest/web" has 101 characters; GitHub takes 100
    "#);
    assert_eq!(sent(&server).await, "");
}
