//! What a front door may do to a visitor.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use preview_core::checks::Answer;
use preview_core::names::Host;
use preview_visitor::Visitor;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const WILDCARD: &str = "*.pr.example.com";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// A front door with a certificate by an authority of its own; it says the same to whoever asks.
struct FrontDoor {
    address: String,
    authority: String,
}

/// What its certificate is of.
struct Wanted {
    name: &'static str,
    expired: bool,
}

impl FrontDoor {
    async fn says(answer: impl Into<String>) -> Self {
        let good = Wanted {
            name: WILDCARD,
            expired: false,
        };
        Self::with(good, answer).await
    }

    async fn with(wanted: Wanted, answer: impl Into<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut authority = CertificateParams::default();
        authority
            .distinguished_name
            .push(DnType::CommonName, &address);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = authority.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(authority, key);
        let mut leaf = CertificateParams::new(vec![wanted.name.to_owned()]).unwrap();
        if wanted.expired {
            leaf.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        let certificate = CertificateDer::from(leaf.der().to_vec());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        tokio::spawn(serve(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            answer.into(),
        ));
        Self {
            address,
            authority: pem,
        }
    }

    fn visitor(&self) -> Visitor {
        let address = self.address.parse().unwrap();
        Visitor::new(Some(address), Some(&self.authority)).unwrap()
    }

    async fn ask(&self, path: &str) -> Answer {
        let host: Host = "7.pr.example.com".parse().unwrap();
        self.visitor()
            .ask(&host, path, Duration::from_secs(20))
            .await
    }

    /// Why there is no answer, without the port that differs.
    async fn why_not(&self) -> String {
        match self.ask("/").await {
            Answer::None(why) => why.replace(&self.address, "DOOR"),
            answer @ Answer::Page { .. } => panic!("{answer:?}"),
        }
    }
}

/// Says `answer` to every request, with `REQUEST` in it replaced by what was asked; nothing at all where it is empty.
async fn serve(listener: TcpListener, tls: TlsAcceptor, answer: String) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, answer) = (tls.clone(), answer.clone());
        tokio::spawn(async move {
            // A visitor who does not like the certificate leaves.
            let Ok(mut stream) = tls.accept(stream).await else {
                return;
            };
            let mut request = Vec::new();
            let mut buffer = [0; 1024];
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => request.extend_from_slice(&buffer[..read]),
                }
            }
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
            let request = String::from_utf8_lossy(&request);
            let answer = answer.replace("REQUEST", &request.replace("\r\n", "|"));
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        });
    }
}

fn page(status: u16, body: &str) -> Answer {
    Answer::Page {
        status,
        body: body.to_owned(),
    }
}

#[tokio::test]
async fn a_page_is_asked_for_by_its_host_wherever_the_front_door_is() {
    let door = FrontDoor::says("HTTP/1.1 200 OK\r\n\r\nREQUEST").await;
    let asked = "GET /api/ready HTTP/1.1|host: 7.pr.example.com|user-agent: preview-environments||";
    assert_eq!(door.ask("/api/ready").await, page(200, asked));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let moved = "HTTP/1.1 302 Found\r\nlocation: https://example.com/\r\ncontent-length: 0\r\n\r\n";
    let door = FrontDoor::says(moved).await;
    assert_eq!(door.ask("/").await, page(302, ""));
}

#[tokio::test]
async fn a_long_page_is_read_by_its_beginning() {
    let length = 10 << 20;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    let door = FrontDoor::says(head + &"x".repeat(length)).await;
    let Answer::Page { status: 200, body } = door.ask("/").await else {
        panic!("it answers 200");
    };
    assert_eq!(body.len(), 64 * 1024);
}

#[tokio::test]
async fn a_certificate_must_be_of_somebody_we_trust_of_the_host_and_valid_now() {
    let door = FrontDoor::says(OK).await;
    assert_eq!(door.ask("/").await, page(200, "hello"));
    let other = FrontDoor::says(OK).await;
    let stranger = FrontDoor {
        address: door.address.clone(),
        authority: other.authority,
    };
    insta::assert_snapshot!(stranger.why_not().await, @"TLS with 7.pr.example.com at DOOR: invalid peer certificate: UnknownIssuer");
    let elsewhere = Wanted {
        name: "*.example.com",
        expired: false,
    };
    let elsewhere = FrontDoor::with(elsewhere, OK).await;
    insta::assert_snapshot!(elsewhere.why_not().await, @r#"TLS with 7.pr.example.com at DOOR: invalid peer certificate: certificate not valid for name "7.pr.example.com"; certificate is only valid for DnsName("*.example.com")"#);
    let expired = Wanted {
        name: WILDCARD,
        expired: true,
    };
    let expired = FrontDoor::with(expired, OK).await.why_not().await;
    let (before, _) = expired.split_once(" verification time").unwrap();
    insta::assert_snapshot!(before, @"TLS with 7.pr.example.com at DOOR: invalid peer certificate: certificate expired:");
}

#[tokio::test]
async fn whatever_keeps_a_page_from_answering_is_told() {
    let silent = FrontDoor::says("").await;
    let host: Host = "7.pr.example.com".parse().unwrap();
    let patience = Duration::from_millis(300);
    let Answer::None(why) = silent.visitor().ask(&host, "/", patience).await else {
        panic!("it says nothing");
    };
    insta::assert_snapshot!(why.replace(&silent.address, "DOOR"), @"GET https://7.pr.example.com/ at DOOR: no answer in time");
    let confused = FrontDoor::says("SMTP ready\r\n\r\n").await;
    insta::assert_snapshot!(confused.why_not().await, @"GET https://7.pr.example.com/ at DOOR: invalid HTTP version parsed");
    let broken = FrontDoor::says("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhel").await;
    insta::assert_snapshot!(broken.why_not().await, @"GET https://7.pr.example.com/ at DOOR: error reading a body from connection: end of file before message length reached");
    // A port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let nobody = FrontDoor {
        address,
        authority: silent.authority.clone(),
    };
    insta::assert_snapshot!(nobody.why_not().await, @"connect to DOOR: Connection refused (os error 111)");
}

#[tokio::test]
async fn a_host_that_does_not_resolve_is_told_where_no_front_door_is_named() {
    let door = FrontDoor::says(OK).await;
    let visitor = Visitor::new(None, Some(&door.authority)).unwrap();
    let host: Host = "7.pr.invalid".parse().unwrap();
    let answer = visitor.ask(&host, "/", Duration::from_secs(20)).await;
    let Answer::None(why) = answer else {
        panic!("{answer:?}");
    };
    assert!(why.starts_with("connect to 7.pr.invalid:443: "), "{why}");
}

#[test]
fn an_authority_that_is_none_is_refused() {
    let refused = |pem: &str| Visitor::new(None, Some(pem)).err().unwrap().to_string();
    insta::assert_snapshot!(refused("a root of ours"), @"read the preview's certificate authority: it holds no certificate; correct `ca.crt` of the Secret with its certificate");
    insta::assert_snapshot!(refused("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), @"read the preview's certificate authority: invalid peer certificate: BadEncoding; correct `ca.crt` of the Secret with its certificate");
}

#[test]
fn a_blank_authority_is_none() {
    let visitor = Visitor::new(None, Some("\n"));
    let told = visitor.err().map(|error| error.to_string());
    // A machine that trusts nobody says so.
    assert!(
        told.as_ref()
            .is_none_or(|told| told.starts_with("no certificate authority is trusted here")),
        "{told:?}"
    );
}
