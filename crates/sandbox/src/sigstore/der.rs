//! As much of DER as a timestamp takes. <https://www.itu.int/rec/T-REC-X.690>

/// A value with its tag and length.
pub(super) fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut bytes = vec![tag];
    if length < 0x80 {
        bytes.extend(u8::try_from(length));
    } else {
        let big = length.to_be_bytes();
        let significant: Vec<u8> = big.into_iter().skip_while(|byte| *byte == 0).collect();
        bytes.extend(u8::try_from(0x80 + significant.len()));
        bytes.extend(significant);
    }
    bytes.extend_from_slice(content);
    bytes
}

pub(super) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tagged(0x30, &parts.concat())
}

/// A SET OF, whose members stand in the order of their bytes.
pub(super) fn set(mut members: Vec<Vec<u8>>) -> Vec<u8> {
    members.sort();
    tagged(0x31, &members.concat())
}

/// A number below 128.
pub(super) fn small(number: u8) -> Vec<u8> {
    tagged(0x02, &[number])
}

pub(super) fn octets(bytes: &[u8]) -> Vec<u8> {
    tagged(0x04, bytes)
}

pub(super) fn text(text: &str) -> Vec<u8> {
    tagged(0x0c, text.as_bytes())
}

/// An object identifier.
pub(super) fn identifier(arcs: &[u64]) -> Vec<u8> {
    let [first, second, rest @ ..] = arcs else {
        return tagged(0x06, &[]);
    };
    let mut content = Vec::new();
    for arc in [&[first * 40 + second], rest].concat() {
        let mut digits = vec![arc % 128];
        let mut left = arc / 128;
        while left > 0 {
            digits.push(left % 128 + 128);
            left /= 128;
        }
        content.extend(
            digits
                .into_iter()
                .rev()
                .filter_map(|digit| u8::try_from(digit).ok()),
        );
    }
    tagged(0x06, &content)
}

/// `[number]` around or in place of a value's own tag.
pub(super) fn context(number: u8, content: &[u8]) -> Vec<u8> {
    tagged(0xa0 + number, content)
}
