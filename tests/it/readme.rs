//! What the README and the fixtures promise.

use crate::support::{kinema, root};

#[test]
fn the_transcript_in_the_readme_is_what_its_command_prints() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("a README");
    assert!(readme.contains("\ncargo run --release -- simulate\n") && readme.contains("\ncargo test --workspace\n"));
    let (_, rest) = readme.split_once("```text\n").expect("a transcript");
    let (transcript, _) = rest.split_once("```").expect("an end of the transcript");
    let ran = kinema(&["simulate"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert_eq!(ran.out, transcript);
}

#[test]
fn every_capture_replays_to_the_same_bytes() {
    let mut captures = 0;
    for file in std::fs::read_dir(root().join("fixtures/journals")).expect("captures") {
        let file = file.expect("a capture").path();
        let ran = kinema(&["replay", file.to_str().expect("a plain name"), "--check", "-q"]);
        assert_eq!(ran.code, 0, "{}: {}", file.display(), ran.transcript());
        captures += 1;
    }
    assert!(captures >= 3, "only {captures} captures");
}
