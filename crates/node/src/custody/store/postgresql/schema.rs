//! The tables, and what is said to the server about them.

use super::session::Query;
use crate::custody::store::{Failure, Table};

/// What brings the tables from one version to the next: the first makes them. A version that was released stays as it
/// is; another table or form is a further version.
const MIGRATIONS: &[&[Table]] = &[
    &[
        Table::Subjects,
        Table::Patients,
        Table::Heads,
        Table::Versions,
        Table::EraseKeys,
        Table::Terms,
        Table::Entries,
        Table::Accesses,
        Table::Pending,
        Table::Adopted,
        Table::Positions,
        Table::Outbox,
        Table::Statements,
        Table::Changes,
        Table::Subscriptions,
        Table::Bulk,
        Table::Authorization,
        Table::Postings,
        Table::Indexing,
        Table::Upstream,
        Table::Erasures,
        Table::Holds,
        Table::Release,
        Table::Labelling,
        Table::Audit,
        Table::Emergencies,
    ],
    &[
        Table::Duties,
        Table::Shares,
        Table::Matches,
        Table::Messages,
    ],
    &[Table::CareServices],
    &[Table::Linkage],
];

/// Makes the schema, unless an administrator has made it, and the table that says what is in it.
pub(super) fn foundation(schema: &str) -> String {
    format!(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = '{schema}') \
         THEN CREATE SCHEMA \"{schema}\"; END IF; END $$; \
         CREATE TABLE IF NOT EXISTS \"{schema}\".store (\
         one boolean PRIMARY KEY DEFAULT true CHECK (one), \
         schema_version integer NOT NULL, writer bytea NOT NULL, batch bigint NOT NULL); \
         INSERT INTO \"{schema}\".store (schema_version, writer, batch) VALUES (0, '', 0) \
         ON CONFLICT DO NOTHING"
    )
}

/// What brings the tables from `version` to those of this release; a later version is refused.
pub(super) fn migration(schema: &str, version: i32) -> Result<String, Failure> {
    let newest = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    let Some(missing) = MIGRATIONS.get(done..) else {
        return Err(Failure::Refused(format!(
            "the tables in schema `{schema}` are of version {version}, and this release knows versions up to {newest}: \
             run the release that made them, or a later one"
        )));
    };
    let mut sql = String::new();
    for table in missing.iter().copied().flatten() {
        let table = table.name();
        // What is sealed does not become smaller by compression.
        sql.push_str(&format!(
            "CREATE TABLE \"{schema}\".{table} (key bytea PRIMARY KEY, value bytea NOT NULL); \
             ALTER TABLE \"{schema}\".{table} ALTER COLUMN value SET STORAGE EXTERNAL; "
        ));
    }
    sql.push_str(&format!(
        "UPDATE \"{schema}\".store SET schema_version = {newest}"
    ));
    Ok(sql)
}

pub(super) fn version(schema: &str) -> String {
    format!("SELECT schema_version FROM \"{schema}\".store")
}

/// Notes who writes from now on.
pub(super) fn take_over(schema: &str) -> String {
    format!("UPDATE \"{schema}\".store SET writer = $1 RETURNING batch")
}

/// Who wrote last, and how many batches.
pub(super) fn written(schema: &str) -> String {
    format!("SELECT writer, batch FROM \"{schema}\".store")
}

pub(super) fn count_batch(schema: &str, number: i64) -> String {
    format!("UPDATE \"{schema}\".store SET batch = {number}")
}

pub(super) fn last_key(schema: &str, table: Table) -> String {
    let table = table.name();
    format!("SELECT key FROM \"{schema}\".{table} ORDER BY key DESC LIMIT 1")
}

/// How many rows the server thinks a table has: nothing sensible before it was analysed.
pub(super) fn estimate(schema: &str, table: Table) -> String {
    let table = table.name();
    format!("SELECT reltuples::bigint FROM pg_class WHERE oid = '\"{schema}\".{table}'::regclass")
}

pub(super) fn count(schema: &str, table: Table) -> String {
    let table = table.name();
    format!("SELECT count(*) FROM \"{schema}\".{table}")
}

pub(super) fn rewrite(schema: &str, table: Table) -> String {
    let table = table.name();
    format!("VACUUM (FULL) \"{schema}\".{table}")
}

pub(super) fn statement(schema: &str, table: Table, query: Query) -> String {
    let table = table.name();
    let page = |columns: &str, end: &str| {
        format!(
            "SELECT {columns} FROM \"{schema}\".{table} WHERE key >= $2{end} ORDER BY key LIMIT $1"
        )
    };
    match query {
        Query::Get => format!("SELECT value FROM \"{schema}\".{table} WHERE key = $1"),
        Query::GetAll => {
            format!("SELECT key, value FROM \"{schema}\".{table} WHERE key = ANY($1::bytea[])")
        }
        Query::Rows => page("key, value", " AND key < $3"),
        Query::RowsOn => page("key, value", ""),
        Query::Keys => page("key", " AND key < $3"),
        Query::KeysOn => page("key", ""),
        Query::Upsert => format!(
            "INSERT INTO \"{schema}\".{table} (key, value) SELECT * FROM unnest($1::bytea[], $2::bytea[]) \
             ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value"
        ),
        Query::Delete => {
            format!("DELETE FROM \"{schema}\".{table} WHERE key = ANY($1::bytea[])")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_migrations_make_all_tables_once() {
        let made: Vec<Table> = MIGRATIONS.iter().copied().flatten().copied().collect();
        let once: BTreeSet<Table> = made.iter().copied().collect();
        assert_eq!(made.len(), once.len());
        assert_eq!(once, Table::ALL.iter().copied().collect());
    }

    #[test]
    fn tables_of_a_later_release_are_left_alone() {
        let newest = i32::try_from(MIGRATIONS.len()).unwrap();
        assert!(migration("s", newest).is_ok());
        for unknown in [newest + 1, -1] {
            let refused = migration("s", unknown).unwrap_err().to_string();
            assert!(refused.contains("this release knows"), "{refused}");
        }
    }
}
