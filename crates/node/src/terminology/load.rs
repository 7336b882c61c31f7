//! Reading the files of a release, row by row.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder};
use interop::terminology::format::{AtLine, Dialect, Format, Row, RowProblem, Table};
use interop::terminology::{Draft, TerminologyProblem};
use thiserror::Error;

use crate::package::PackageError;

/// How deep files of a release are looked for.
const DEPTH_MAX: usize = 8;
/// Rows between two reports of progress.
const REPORTED: u64 = 4_096;

/// Why a vocabulary is not loaded. Nothing is changed then.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum LoadError {
    #[error("{} cannot be read: {error}", .path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("there is no file `{name}` in {}", .path.display())]
    FileMissing { path: PathBuf, name: String },
    #[error("{}, line {line}: {problem}", .path.display())]
    Row {
        path: PathBuf,
        line: u64,
        problem: RowProblem,
    },
    #[error("{}: not JSON at line {line}", .path.display())]
    NotJson { path: PathBuf, line: usize },
    #[error("{}: {problem}", .path.display())]
    Resource {
        path: PathBuf,
        problem: TerminologyProblem,
    },
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error("there are no concepts in it")]
    Empty,
    #[error("the index cannot be written: {0}")]
    Store(String),
    #[error("the folder of vocabularies cannot be written: {0}")]
    Folder(io::Error),
}

impl LoadError {
    pub(super) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |error| Self::Unreadable { path, error }
    }

    pub(super) fn folder(error: io::Error) -> Self {
        Self::Folder(error)
    }
}

/// Told of the file that is read, how many bytes of it are, and how many it has.
pub type Progress<'a> = &'a mut dyn FnMut(&Path, u64, u64);

/// Reads a release of a format: a folder with its files somewhere within, or the first of its files.
///
/// # Errors
///
/// With the file and the line of the first row that is not as the format says.
pub fn read_tables(
    format: Format,
    path: &Path,
    progress: Progress<'_>,
) -> Result<Draft, LoadError> {
    let mut draft = Draft::default();
    if path.is_file() {
        let name = path.file_name().and_then(|name| name.to_str());
        let is_xml = name.is_some_and(|name| name.to_ascii_lowercase().ends_with(".xml"));
        let mut tables = format.tables().iter();
        let table = tables.find(|table| !is_xml || matches!(table.dialect, Dialect::Xml));
        if let Some(table) = table.or_else(|| format.tables().first()) {
            read(table, path, &mut draft, progress)?;
        }
        return Ok(draft);
    }
    let mut files = Vec::new();
    list(path, 0, &mut files)?;
    files.sort();
    for table in format.tables() {
        let is_one = |file: &&PathBuf| {
            let name = file.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| table.is_called(name))
        };
        let mut found = files.iter().filter(is_one).peekable();
        if table.is_required && found.peek().is_none() {
            let (begin, end) = table.name;
            let name = if begin == end {
                end.to_owned()
            } else {
                format!("{begin}*{end}")
            };
            let path = path.to_owned();
            return Err(LoadError::FileMissing { path, name });
        }
        for file in found {
            read(table, file, &mut draft, progress)?;
        }
    }
    Ok(draft)
}

/// The files below a folder.
pub(super) fn list(folder: &Path, depth: usize, into: &mut Vec<PathBuf>) -> Result<(), LoadError> {
    for entry in fs::read_dir(folder).map_err(LoadError::unreadable(folder))? {
        let path = entry.map_err(LoadError::unreadable(folder))?.path();
        if !path.is_dir() {
            into.push(path);
        } else if depth < DEPTH_MAX {
            list(&path, depth.saturating_add(1), into)?;
        }
    }
    Ok(())
}

fn read(
    table: &Table,
    path: &Path,
    draft: &mut Draft,
    progress: Progress<'_>,
) -> Result<(), LoadError> {
    if table.dialect == Dialect::Xml {
        return read_whole(table, path, draft, progress);
    }
    let file = File::open(path).map_err(LoadError::unreadable(path))?;
    let bytes = file.metadata().map_err(LoadError::unreadable(path))?.len();
    let (separator, has_quotes, has_header) = match table.dialect {
        Dialect::Csv => (b',', true, true),
        Dialect::Tabs => (b'\t', false, true),
        Dialect::Bars => (b'|', false, false),
        Dialect::Line | Dialect::Xml => (b'\0', false, false),
    };
    let mut reader = ReaderBuilder::new()
        .delimiter(separator)
        .quoting(has_quotes)
        .has_headers(false)
        .flexible(true)
        .from_reader(file);
    let unreadable = |error: csv::Error| LoadError::unreadable(path)(error.into());
    let at_line = |line: u64, problem: RowProblem| {
        let path = path.to_owned();
        LoadError::Row {
            path,
            line,
            problem,
        }
    };
    let mut record = ByteRecord::new();
    let columns: Vec<String> = if has_header {
        reader.read_byte_record(&mut record).map_err(unreadable)?;
        let columns = record.iter().map(text);
        let trimmed = columns.map(|it| it.trim_start_matches('\u{feff}').trim().to_owned());
        trimmed.collect()
    } else {
        table
            .columns
            .iter()
            .map(|name| (*name).to_owned())
            .collect()
    };
    table
        .check(&columns)
        .map_err(|problem| at_line(1, problem))?;
    let mut rows = 0_u64;
    while reader.read_byte_record(&mut record).map_err(unreadable)? {
        let fields: Vec<String> = record.iter().map(text).collect();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let row = Row {
            columns: &columns,
            fields: &fields,
        };
        let position = record.position();
        table
            .read(&row, draft)
            .map_err(|problem| at_line(position.map_or(0, csv::Position::line), problem))?;
        rows = rows.saturating_add(1);
        if rows.is_multiple_of(REPORTED) {
            progress(path, reader.position().byte(), bytes);
        }
    }
    progress(path, bytes, bytes);
    Ok(())
}

fn read_whole(
    table: &Table,
    path: &Path,
    draft: &mut Draft,
    progress: Progress<'_>,
) -> Result<(), LoadError> {
    let bytes = fs::read(path).map_err(LoadError::unreadable(path))?;
    let read = table.read_whole(&text(&bytes), draft);
    read.map_err(|AtLine { line, problem }| {
        let path = path.to_owned();
        LoadError::Row {
            path,
            line,
            problem,
        }
    })?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    progress(path, length, length);
    Ok(())
}

/// UTF-8, or Latin-1 where it is none: older releases are.
fn text(field: &[u8]) -> String {
    match std::str::from_utf8(field) {
        Ok(text) => text.to_owned(),
        Err(_) => field.iter().copied().map(char::from).collect(),
    }
}
