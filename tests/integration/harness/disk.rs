//! A disk that is soon full.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Scene;

/// A file system of 8 MiB in the scene's folder, unmounted when dropped.
pub struct TinyDisk(PathBuf);

impl TinyDisk {
    const BYTES: usize = 8 << 20;

    /// Mounts it as `disk` in the scene's folder.
    pub fn mount(scene: &Scene) -> Self {
        let path = scene.path("disk");
        fs::create_dir(&path).unwrap();
        let size = format!("size={}", Self::BYTES);
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&path)
            .status();
        assert!(mount.unwrap().success(), "mounting a tmpfs takes root");
        Self(path)
    }

    /// Mounts one under that name that cannot be written.
    pub fn sealed(scene: &Scene, name: &str) -> Self {
        let path = scene.path(name);
        fs::create_dir(&path).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "ro", "tmpfs"])
            .arg(&path)
            .status();
        assert!(mount.unwrap().success(), "mounting a tmpfs takes root");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Fills all but so many bytes.
    pub fn fill(&self, free: usize) {
        fs::write(self.0.join("filler"), vec![0; Self::BYTES - free]).unwrap();
    }

    /// Fills all that is left.
    pub fn fill_up(&self) {
        let mut filler = fs::File::create(self.0.join("filler")).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    /// Removes what filled it.
    pub fn make_space(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        // Lazily: a killed exporter may take a moment to let go of its files.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
