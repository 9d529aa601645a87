//! Request ids: the same request of the same intent has the same id, in every life of the daemon.

/// The UUID of one call: derived from the intent's id, the pool and everything the call names. The
/// cloud answers a repeated id with the first operation *whatever* is asked, so that a call for
/// the rest of the names needs an id of its own.
pub(crate) fn derive<'a>(intent: &str, pool: &str, parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("kinema google cloud request id");
    let mut add = |part: &str| {
        // The length keeps ["ab", "c"] and ["a", "bc"] apart.
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    };
    add(intent);
    add(pool);
    parts.into_iter().for_each(add);
    let hash = hasher.finalize();
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    // Version 5 (a name's hash) and the variant of RFC 9562; never all zero.
    bytes[6] = bytes[6] & 0x0f | 0x50;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::derive;

    #[test]
    fn an_id_is_fixed_for_ever_and_differs_by_every_part() {
        let id = derive("intent", "zone/pool", ["a", "b"]);
        assert_eq!(id, derive("intent", "zone/pool", ["a", "b"]));
        assert_eq!((id.len(), id.as_bytes()[14], id.matches('-').count()), (36, b'5', 4));
        let others = [
            derive("intent2", "zone/pool", ["a", "b"]),
            derive("intent", "zone/pool2", ["a", "b"]),
            derive("intent", "zone/pool", ["a"]),
            derive("intent", "zone/pool", ["ab"]),
        ];
        assert!(others.iter().all(|other| *other != id));
        assert_ne!(others[2], others[3]);
    }
}
