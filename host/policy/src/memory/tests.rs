use super::*;
use std::sync::Arc;

#[test]
fn what_was_saved_is_loaded_and_a_damaged_file_counts_as_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = MemoryFolder::new(Some(folder.path().to_owned()));
    let content = Content { bytes: Arc::from(&b"bytes"[..]), digest: Digest::of(b"bytes") };
    let mut memory = Memory { generation: 7, ..Memory::default() };
    let slot = memory.slot_mut(Slot::Queue);
    let kept = Kept {
        component: "a".into(),
        digest: content.digest,
        config: "{}".into(),
        assets: Some(Digest::of(b"files")),
        is_file: true,
    };
    slot.keep(kept, None);
    slot.parked.insert(ContentKey::new(Digest::of(b"x"), "{}", None));
    slot.parked.insert(ContentKey::new(Digest::of(b"x"), "{}", Some(Digest::of(b"y"))));
    slot.choice = Some(Choice {
        component: "b".into(),
        config: "{}".into(),
        binding: Digest::of(b"binding"),
        upload: Some(Digest::of(b"upload")),
    });
    store.save(|| memory.clone());
    assert_eq!(store.load(), memory);
    store.keep(&content);
    store.keep(&Content { bytes: Arc::from(&b"other"[..]), digest: Digest::of(b"other") });
    store.keep(&Content { bytes: Arc::from(&b"upload"[..]), digest: Digest::of(b"upload") });
    store.prune(&memory);
    assert!(store.read(content.digest).is_some());
    assert!(store.read(Digest::of(b"upload")).is_some());
    assert!(store.read(Digest::of(b"other")).is_none());
    std::fs::write(folder.path().join(content.digest.to_string()), b"changed").unwrap();
    assert!(store.read(content.digest).is_none(), "changed bytes are not taken");
    store.keep(&content);
    assert!(store.read(content.digest).is_some(), "and are replaced");
    std::fs::write(folder.path().join(STATE), b"{\"gener").unwrap();
    assert_eq!(store.load(), Memory::default());
}

#[test]
fn no_half_written_state_takes_the_place_of_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let memory = |generation| Memory { generation, ..Memory::default() };
    let open = || MemoryFolder::new(Some(folder.path().to_owned()));
    let loaded = || open().load().generation;
    let store = open();
    store.save(|| memory(1));
    assert_eq!(store.sync_due(), None);
    store.save_soon(|| memory(2));
    assert_eq!(loaded(), 2, "the process may end at once");
    let due = store.sync_due().expect("the disk is to have it");
    assert!(due <= Instant::now() + SYNC_AFTER);
    let recent = folder.path().join(RECENT);
    let text = std::fs::read(&recent).unwrap();
    for damaged in [&b""[..], &text[..text.len() / 2], &vec![0; text.len()]] {
        std::fs::write(&recent, damaged).unwrap();
        assert_eq!(loaded(), 1, "the power may fail");
    }
    store.sync();
    assert_eq!((loaded(), store.sync_due()), (2, None));
    // A new life goes on counting, so that what it writes is the newest.
    let store = open();
    store.load();
    store.save_soon(|| memory(3));
    store.save(|| memory(4));
    assert_eq!(loaded(), 4);
    store.save_soon(|| memory(5));
    std::fs::write(folder.path().join(STATE), "{").unwrap();
    assert_eq!(loaded(), 5);
}

#[test]
fn a_file_that_is_gone_counts_only_until_another_policy_takes_its_place() {
    let kept = |component: &str, is_file| Kept {
        component: component.into(),
        digest: Digest::of(component.as_bytes()),
        config: "{}".into(),
        assets: None,
        is_file,
    };
    let mut slot = SlotMemory::default();
    slot.keep(kept("a", true), None);
    assert!(slot.file("a").is_some());
    slot.keep(kept("b", true), None);
    assert!(slot.file("a").is_none() && slot.file("b").is_some());
    slot.forget_file("b");
    assert!(slot.file("b").is_none());
    assert_eq!(slot.kept.len(), 2, "to go back to");
}
