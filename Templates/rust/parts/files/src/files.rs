//! Files that are whole or not there: what a plugin keeps across restarts.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};

use crate::bindings::ERROR_DATA_LOSS;
use crate::json::Json;
use crate::plugin::{failure, system, Result};

/// Writes DIRECTORY/NAME so that a reader, also after a crash, sees the old content or the new one.
pub fn write_file(directory: &str, name: &str, content: &Json) -> Result<()> {
    let path = format!("{}/{}", directory, name);
    let draft = format!("{}.new", path);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&draft)?;
        file.write_all(content.to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|error| system("write", &path, error))
}

/// DIRECTORY/NAME; None when there is no such file.
pub fn read_file(directory: &str, name: &str) -> Result<Option<Json>> {
    let path = format!("{}/{}", directory, name);
    match fs::read(&path) {
        Ok(content) => match Json::parse(&content) {
            Some(json) => Ok(Some(json)),
            None => Err(failure(ERROR_DATA_LOSS, format!("{} is damaged: restore it, or remove it to begin anew", path))),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(system("open", &path, error)),
    }
}
