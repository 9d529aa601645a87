//! Running the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What a run came to.
pub(crate) struct Ran {
    /// Exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).expect("UTF-8 on standard output"),
            err: String::from_utf8(output.stderr).expect("UTF-8 on standard error"),
        }
    }

    /// Everything, for a snapshot.
    pub(crate) fn transcript(&self) -> String {
        format!("exit {}\n--- out\n{}--- err\n{}", self.code, self.out, self.err)
    }

    /// The JSON document on standard output.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.transcript()))
    }
}

/// The program with a clean environment, in the repository's root.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinema"));
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    for name in [
        "KINEMA_CONFIG",
        "KINEMA_JOURNAL",
        "KINEMA_SERVER",
        "KUBECONFIG",
        "KUBERNETES_SERVICE_HOST",
        "POD_NAME",
        "POD_NAMESPACE",
    ] {
        command.env_remove(name);
    }
    command.env("HOME", "/nonexistent").env("USER", "tester");
    command
}

/// Runs it to its end.
pub(crate) fn kinema(arguments: &[&str]) -> Ran {
    Ran::of(command(arguments).output().expect("the program starts"))
}

/// Runs it where no file may grow beyond so many KiB, which is as good as a full disk and needs no
/// disk. The signal that comes with it is ignored, as on a real full disk there is none.
pub(crate) fn with_file_limit(kib: u64, arguments: &[&str]) -> Ran {
    let program = command(&[]);
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kib * 2);
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).arg(program.get_program()).args(arguments).current_dir(root()).stdin(Stdio::null());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    Ran::of(shell.output().expect("a shell"))
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// A directory of the test's own with files in it.
pub(crate) fn files(contents: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in contents {
        std::fs::write(directory.path().join(name), text).expect("a file");
    }
    directory
}

/// A path as an argument.
pub(crate) fn path(directory: &tempfile::TempDir, name: &str) -> String {
    directory.path().join(name).display().to_string()
}
