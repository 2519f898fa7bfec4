//! A timestamp: that a signature existed at a time, signed. <https://www.rfc-editor.org/rfc/rfc3161>,
//! <https://www.rfc-editor.org/rfc/rfc5652>

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{KeyPair, SigningKey as _};
use sha2::{Digest as _, Sha256};

use super::der::{context, identifier, octets, sequence, set, small, tagged};
use super::made;

const SHA256: [u64; 9] = [2, 16, 840, 1, 101, 3, 4, 2, 1];
const ECDSA_WITH_SHA256: [u64; 7] = [1, 2, 840, 10045, 4, 3, 2];
const SIGNED_DATA: [u64; 7] = [1, 2, 840, 113_549, 1, 7, 2];
const TIMESTAMP_INFO: [u64; 9] = [1, 2, 840, 113_549, 1, 9, 16, 1, 4];
const CONTENT_TYPE: [u64; 7] = [1, 2, 840, 113_549, 1, 9, 3];
const MESSAGE_DIGEST: [u64; 7] = [1, 2, 840, 113_549, 1, 9, 4];
/// A policy of nobody's.
const POLICY: [u64; 4] = [1, 2, 3, 4];

/// The `TimeStampResp` of the authority with `key`, which its certificate calls `key_id`, for `signature`.
pub(super) fn response(key: &KeyPair, key_id: &[u8], signature: &[u8], at: Timestamp) -> Vec<u8> {
    let info = info(signature, at);
    let signed_data = sequence(&[
        small(3),
        set(vec![algorithm(&SHA256)]),
        sequence(&[identifier(&TIMESTAMP_INFO), context(0, &octets(&info))]),
        set(vec![signer(key, key_id, &info)]),
    ]);
    let token = sequence(&[identifier(&SIGNED_DATA), context(0, &signed_data)]);
    let granted = sequence(&[small(0)]);
    sequence(&[granted, token])
}

/// What is attested: the digest, and the time.
fn info(signature: &[u8], at: Timestamp) -> Vec<u8> {
    let at = at.to_zoned(TimeZone::UTC).strftime("%Y%m%d%H%M%SZ");
    sequence(&[
        small(1),
        identifier(&POLICY),
        sequence(&[algorithm(&SHA256), octets(&Sha256::digest(signature))]),
        small(1),
        tagged(0x18, at.to_string().as_bytes()),
    ])
}

fn signer(key: &KeyPair, key_id: &[u8], info: &[u8]) -> Vec<u8> {
    let attribute = |kind: &[u64], value: Vec<u8>| sequence(&[identifier(kind), set(vec![value])]);
    let attributes = set(vec![
        attribute(&CONTENT_TYPE, identifier(&TIMESTAMP_INFO)),
        attribute(&MESSAGE_DIGEST, octets(&Sha256::digest(info))),
    ]);
    let signature = made(key.sign(&attributes));
    // Signed as a SET, and sent with a tag of its own in place of that.
    let mut sent = attributes;
    sent[0] = 0xa0;
    sequence(&[
        small(3),
        tagged(0x80, key_id),
        algorithm(&SHA256),
        sent,
        algorithm(&ECDSA_WITH_SHA256),
        octets(&signature),
    ])
}

fn algorithm(id: &[u64]) -> Vec<u8> {
    sequence(&[identifier(id)])
}
