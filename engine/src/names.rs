//! Names that derive from the intent, so that after a crash a list tells what was asked for.

use journal_schema::plan::Slot;
use journal_schema::text::Name;

/// The longest instance name that Compute Engine takes (RFC 1035 label).
const INSTANCE_NAME_MAX: usize = 63;

fn tag(journal_id: &str, iteration: u64) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(journal_id.as_bytes());
    hasher.update(&iteration.to_le_bytes());
    hasher.finalize().to_hex()[..6].to_owned()
}

/// The name of a new machine: `<base>-k<6 hex>-<slot>`.
///
/// The hash covers the journal's identity, so that an installation that lost its journal and counts
/// iterations from one again does not take another's machines for its own.
pub fn instance(base: &str, journal_id: &str, iteration: u64, slot: Slot) -> Name {
    let suffix = format!("-k{}-{}", tag(journal_id, iteration), slot.0);
    let mut end = base.len().min(INSTANCE_NAME_MAX - suffix.len());
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    Name::truncated(format!("{}{suffix}", base[..end].trim_end_matches('-')))
}

/// The idempotency key of a request to the cloud, in the form of a UUID (version 8: our own hash).
pub fn request_id(journal_id: &str, iteration: u64, what: &str) -> Name {
    let mut hasher = blake3::Hasher::new();
    for part in [journal_id.as_bytes(), &iteration.to_le_bytes(), what.as_bytes()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Name::truncated(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_cloud_and_differ_by_iteration_and_journal() {
        let base = "gke-a-very-long-cluster-name-and-an-even-longer-pool-name-2d2beeabd";
        let one = instance(base, "j1", 1, Slot(999));
        assert!(one.len() <= 63 && one.ends_with("-999"), "{one}");
        assert_ne!(one, instance(base, "j1", 2, Slot(999)));
        assert_ne!(one, instance(base, "j2", 1, Slot(999)));
        assert_eq!(one, instance(base, "j1", 1, Slot(999)));
    }

    #[test]
    fn request_ids_are_uuids_that_depend_on_every_part() {
        let id = request_id("j", 1, "create pool");
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "8");
        assert_ne!(id, request_id("j", 1, "create poo"));
        assert_ne!(request_id("a", 1, "bc"), request_id("ab", 1, "c"));
    }
}
