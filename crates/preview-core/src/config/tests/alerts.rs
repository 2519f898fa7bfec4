//! Who is told.

use super::*;

fn with(alerts: &str) -> String {
    RIGHT.replacen("[database]", &format!("[alerts]\n{alerts}\n[database]"), 1)
}

#[test]
fn mail_has_a_sender_and_recipients() {
    let text = with("mail_from = \"previews@example.com\"\nmail_to = [\"a.b+c@ops.example.com\"]");
    let mail = Config::parse("preview.toml", &text).unwrap().alerts.mail;
    let mail = mail.unwrap();
    assert_eq!(mail.from.domain(), "example.com");
    assert_eq!(mail.to[0].as_str(), "a.b+c@ops.example.com");
    let nobody = Config::parse("preview.toml", &with("")).unwrap();
    assert_eq!(nobody.alerts, AlertSettings::default());
}

#[test]
fn an_address_that_is_none_is_refused_and_so_is_half_a_route() {
    let from = "mail_from = \"previews@example.com\"";
    let too_many = format!("{from}\nmail_to = {:?}", ["a@example.com"; 21]);
    let told = [
        from,
        "mail_to = [\"ops@example.com\"]",
        "mail_from = \"previews\"\nmail_to = [\"ops@example.com\"]",
        &format!("{from}\nmail_to = [\"ops@example.com\", \"Ops <ops@example.com>\"]"),
        &format!("{from}\nmail_to = [\"ops@example.com\\nBcc: x@example.com\"]"),
        &format!("{from}\nmail_to = [\".ops@example.com\"]"),
        &too_many,
        "mail_form = \"previews@example.com\"",
    ]
    .map(|alerts| error(&with(alerts)));
    insta::assert_snapshot!(told.join("\n"), @r#"
    preview.toml:13: alerts.mail_to: mail goes to 0 addresses; write 1 to 20 of them
    preview.toml:14: alerts.mail_to: mail goes to somebody and comes from nobody; write mail_from, too
    preview.toml:14: alerts.mail_from: "previews" is not an address of mail, such as previews@example.com
    preview.toml:15: alerts.mail_to[1]: "Ops <ops@example.com>" is not an address of mail, such as previews@example.com
    preview.toml:15: alerts.mail_to[0]: "ops@example.com\nBcc: x@example.com" is not an address of mail, such as previews@example.com
    preview.toml:15: alerts.mail_to[0]: ".ops@example.com" is not an address of mail, such as previews@example.com
    preview.toml:15: alerts.mail_to: mail goes to 21 addresses; write 1 to 20 of them
    preview.toml:14: alerts.mail_form: unknown key; did you mean `mail_from`?
    "#);
}
