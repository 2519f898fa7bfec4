//! Those who take alerts, on loopback: a Slack incoming webhook, and a mail server that speaks SMTP. Shared with the stories
//! of the programs.

#![allow(dead_code, reason = "each suite uses its part of it")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, ReadHalf, WriteHalf,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What whoever has it can post with.
pub(crate) const HOOK: &str = "9VbzLlQm3fXo2uRt";
/// The account that the mail server knows.
pub(crate) const USER: &str = "previews";
/// Its password.
pub(crate) const PASSWORD: &str = "p@ss/word of the mail server";
/// The same, as it stands in a URL.
pub(crate) const PASSWORD_IN_URL: &str = "p%40ss%2Fword%20of%20the%20mail%20server";

/// A Slack incoming webhook.
pub(crate) struct Slack {
    port: u16,
    state: Arc<SlackState>,
}

struct SlackState {
    answers: Mutex<VecDeque<(u16, String)>>,
    posts: Mutex<Vec<Value>>,
}

impl Slack {
    /// One that answers so, post by post, and then `ok`.
    pub(crate) async fn answering(answers: &[(u16, &str)]) -> Self {
        let answers = answers
            .iter()
            .map(|(status, body)| (*status, (*body).to_owned()));
        let state = Arc::new(SlackState {
            answers: Mutex::new(answers.collect()),
            posts: Mutex::default(),
        });
        let path = format!("/services/T0001/B0001/{HOOK}");
        let router = Router::new()
            .route(&path, post(take))
            .with_state(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, state }
    }

    /// Its address, which is the secret.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/services/T0001/B0001/{HOOK}", self.address())
    }

    /// Where it is.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Everything that was posted, whatever was answered.
    pub(crate) fn posts(&self) -> Vec<Value> {
        self.state.posts.lock().unwrap().clone()
    }

    /// The text of the only post.
    pub(crate) fn text(&self) -> String {
        let posts = self.posts();
        assert_eq!(posts.len(), 1, "{posts:#?}");
        posts[0]["text"].as_str().unwrap().to_owned()
    }
}

async fn take(State(state): State<Arc<SlackState>>, body: String) -> Response {
    // What is no JSON Slack answers with these words.
    let Ok(post) = serde_json::from_str(&body) else {
        return (StatusCode::BAD_REQUEST, "invalid_payload").into_response();
    };
    state.posts.lock().unwrap().push(post);
    let (status, body) = state
        .answers
        .lock()
        .unwrap()
        .pop_front()
        .unwrap_or((200, "ok".to_owned()));
    let status = StatusCode::from_u16(status).unwrap();
    let back = format!("/services/T0001/B0001/{HOOK}");
    match status.is_redirection() {
        true => (status, [(LOCATION, back)]).into_response(),
        false => (status, body).into_response(),
    }
}

/// A mail that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Of the envelope.
    pub(crate) from: String,
    /// Of the envelope.
    pub(crate) to: Vec<String>,
    /// As whom it was given.
    pub(crate) user: Option<String>,
    /// Headers and body, with plain line ends.
    pub(crate) text: String,
}

impl Delivered {
    /// Headers, in their order, and body as it is shown, without what is different each time.
    pub(crate) fn plain(&self) -> String {
        let (head, body) = self.text.split_once("\n\n").unwrap();
        let head = head.lines().map(|line| match line.split_once(": ") {
            Some((name @ ("Date" | "Message-ID"), _)) => format!("{name}: […]"),
            _ => line.to_owned(),
        });
        let head = head.collect::<Vec<_>>().join("\n");
        let body = match head.contains("Content-Transfer-Encoding: quoted-printable") {
            true => unquoted(body),
            false => body.to_owned(),
        };
        format!("{head}\n\n{}", body.trim_end())
    }
}

/// <https://www.rfc-editor.org/rfc/rfc2045#section-6.7>
fn unquoted(text: &str) -> String {
    let text = text.replace("=\n", "");
    let mut parts = text.split('=');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).unwrap());
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).unwrap()
}

/// A mail server.
pub(crate) struct MailServer {
    port: u16,
    taken: Arc<Mutex<Vec<Delivered>>>,
    /// Who has issued its certificate, as PEM; none where it speaks no TLS.
    pub(crate) authority: Option<String>,
}

/// How a mail server treats those who come.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rules {
    /// Who is unknown there.
    pub(crate) refuses: Option<&'static str>,
    /// Whether an account is asked for.
    pub(crate) asks_for_account: bool,
    /// Whether it says nothing at all.
    pub(crate) is_silent: bool,
}

impl MailServer {
    /// One without TLS.
    pub(crate) async fn open(rules: Rules) -> Self {
        Self::start(rules, None, None).await
    }

    /// One that speaks TLS from the first byte, with a certificate of an authority of its own.
    pub(crate) async fn with_tls(rules: Rules) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = authority.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(authority, key);
        let names = vec!["localhost".to_owned()];
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(names).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        let certificate = CertificateDer::from(leaf.der().to_vec());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        Self::start(rules, Some(tls), Some(pem)).await
    }

    async fn start(rules: Rules, tls: Option<TlsAcceptor>, authority: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = Arc::new(Mutex::default());
        let server = Self {
            port,
            taken: Arc::clone(&taken),
            authority,
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(greet(stream, tls.clone(), rules, Arc::clone(&taken)));
            }
        });
        server
    }

    /// `localhost:PORT`.
    pub(crate) fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// The mails that it took.
    pub(crate) fn taken(&self) -> Vec<Delivered> {
        self.taken.lock().unwrap().clone()
    }
}

async fn greet(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    rules: Rules,
    taken: Arc<Mutex<Vec<Delivered>>>,
) {
    if rules.is_silent {
        std::future::pending::<()>().await;
    }
    match tls {
        None => Session::new(stream, rules, taken).run().await,
        // Whoever does not like the certificate leaves.
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                Session::new(stream, rules, taken).run().await;
            }
        }
    }
}

/// One client's visit. <https://www.rfc-editor.org/rfc/rfc5321#section-4.1.1>
struct Session<S> {
    from: BufReader<ReadHalf<S>>,
    to: WriteHalf<S>,
    rules: Rules,
    taken: Arc<Mutex<Vec<Delivered>>>,
    user: Option<String>,
    sender: Option<String>,
    recipients: Vec<String>,
}

impl<S: AsyncRead + AsyncWrite> Session<S> {
    fn new(stream: S, rules: Rules, taken: Arc<Mutex<Vec<Delivered>>>) -> Self {
        let (from, to) = tokio::io::split(stream);
        Self {
            from: BufReader::new(from),
            to,
            rules,
            taken,
            user: None,
            sender: None,
            recipients: Vec::new(),
        }
    }

    async fn run(mut self) {
        self.say("220 mail.test ESMTP").await;
        while let Some(line) = self.line().await {
            let verb = line.split(' ').next().unwrap_or_default().to_uppercase();
            let answer = match verb.as_str() {
                "EHLO" => "250-mail.test\r\n250-8BITMIME\r\n250 AUTH PLAIN".to_owned(),
                "AUTH" => self.auth(&line),
                "MAIL" => self.mail(&line),
                "RCPT" => self.rcpt(&line),
                "DATA" if self.recipients.is_empty() => "503 5.5.1 to whom?".to_owned(),
                "DATA" => {
                    self.say("354 go on").await;
                    self.data().await
                }
                "QUIT" => {
                    self.say("221 2.0.0 bye").await;
                    return;
                }
                _ => "502 5.5.1 what?".to_owned(),
            };
            self.say(&answer).await;
        }
    }

    /// <https://www.rfc-editor.org/rfc/rfc4616>
    fn auth(&mut self, line: &str) -> String {
        let proof = line.strip_prefix("AUTH PLAIN ").unwrap_or_default();
        let proof = STANDARD.decode(proof).unwrap_or_default();
        let proof = String::from_utf8(proof).unwrap_or_default();
        let parts: Vec<&str> = proof.split('\0').collect();
        match parts.as_slice() {
            [_, USER, PASSWORD] => {
                self.user = Some(USER.to_owned());
                "235 2.7.0 welcome".to_owned()
            }
            // Some servers do repeat it.
            [_, user, password] => format!("535 5.7.8 {user} is not known by {password}"),
            _ => "501 5.5.4 that is no proof".to_owned(),
        }
    }

    fn mail(&mut self, line: &str) -> String {
        if self.rules.asks_for_account && self.user.is_none() {
            return "530 5.7.0 who are you?".to_owned();
        }
        self.sender = path(line, "FROM:");
        "250 2.1.0 ok".to_owned()
    }

    fn rcpt(&mut self, line: &str) -> String {
        let Some(to) = path(line, "TO:").filter(|_| self.sender.is_some()) else {
            return "503 5.5.1 from whom?".to_owned();
        };
        if self.rules.refuses == Some(to.as_str()) {
            return format!("550 5.1.1 no mailbox {to} here");
        }
        self.recipients.push(to);
        "250 2.1.5 ok".to_owned()
    }

    async fn data(&mut self) -> String {
        let mut text = String::new();
        loop {
            let Some(line) = self.line().await else {
                return "451 4.3.0 half a mail".to_owned();
            };
            if line == "." {
                break;
            }
            // A line that begins with a dot has another before it.
            text += line.strip_prefix('.').unwrap_or(&line);
            text.push('\n');
        }
        let delivered = Delivered {
            from: self.sender.take().unwrap_or_default(),
            to: std::mem::take(&mut self.recipients),
            user: self.user.clone(),
            text,
        };
        self.taken.lock().unwrap().push(delivered);
        "250 2.0.0 taken".to_owned()
    }

    async fn say(&mut self, answer: &str) {
        // Whoever has gone hears nothing.
        let _ = self.to.write_all(format!("{answer}\r\n").as_bytes()).await;
        let _ = self.to.flush().await;
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.from.read_line(&mut line).await.ok()?;
        (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// The address in `MAIL FROM:<address>`.
fn path(line: &str, word: &str) -> Option<String> {
    let (_, rest) = line.split_once(word)?;
    let (_, rest) = rest.split_once('<')?;
    let (address, _) = rest.split_once('>')?;
    Some(address.to_owned())
}
