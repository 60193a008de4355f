//! The program under test.

use std::env;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The plugins that come with wafermill.
const BUNDLED: [&str; 6] = ["encode", "filter", "impute", "profile", "scale", "split"];

/// The `wafermill` that was built, and the plugins it is to use.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program.
    pub wafermill: PathBuf,
    /// The folder of the plugins.
    pub plugins: PathBuf,
    /// The folder of the plugins of the tests, most of which are broken.
    pub guests: PathBuf,
}

impl Program {
    /// The one that `cargo xtask test` names with `WAFERMILL`, `WAFERMILL_PLUGINS` and `WAFERMILL_TEST_GUESTS`, or else the one of this test's target folder.
    ///
    /// # Panics
    /// Where it has not been built.
    pub fn find() -> Self {
        // Cargo puts tests in `TARGET/debug/deps`.
        let test = env::current_exe().expect("a test knows where it is");
        let target = test.ancestors().nth(3).expect("cargo built this test");
        let named = |variable, built: PathBuf| env::var_os(variable).map_or(built, PathBuf::from);
        let program = Self {
            wafermill: named("WAFERMILL", target.join("debug").join("wafermill")),
            plugins: named("WAFERMILL_PLUGINS", target.join("plugins")),
            guests: named("WAFERMILL_TEST_GUESTS", target.join("plugins-test")),
        };
        for path in [&program.wafermill, &program.plugins, &program.guests] {
            assert!(path.exists(), "{} is not there: `cargo xtask test` builds it", path.display());
        }
        program
    }

    /// The same program with a folder of plugins in `home` that has the bundled ones only: who builds more of them changes no test.
    ///
    /// # Panics
    /// Where the folder cannot be made.
    #[must_use]
    pub fn with_bundled_plugins(&self, home: &Path) -> Self {
        let plugins = home.join("plugins");
        std::fs::create_dir(&plugins).expect("a folder can be made");
        for name in BUNDLED {
            let component = format!("{name}.wasm");
            symlink(self.plugins.join(&component), plugins.join(component)).expect("a link can be made");
        }
        Self { plugins, ..self.clone() }
    }

    /// The program in a folder, with nothing in its environment that changes what it prints.
    pub fn command(&self, folder: &Path) -> Command {
        self.clean(Command::new(&self.wafermill), folder)
    }

    /// A shell script in a folder, in which `wafermill` is this program. It ends with its first command that fails.
    pub fn script(&self, script: &str, folder: &Path) -> Command {
        let mut command = Command::new("sh");
        let define = format!("set -e; wafermill() {{ '{}' \"$@\"; }}; ", self.wafermill.display());
        command.arg("-c").arg(define + script);
        self.clean(command, folder)
    }

    fn clean(&self, mut command: Command, folder: &Path) -> Command {
        command.current_dir(folder).env("WAFERMILL_PLUGINS", &self.plugins).env("COLUMNS", "100");
        command.env_remove("RUST_BACKTRACE");
        command
    }
}
