//! Derived rows, computed anew from the entries.

use std::collections::BTreeMap;

use rusqlite::params;
use serde_json::Value;

use crate::{
    projection::{ProjectError, Projector, Rows},
    sqlite::{Sqlite, SqliteRows},
    store::{StorageError, Store},
};

/// A derived row: tenant, table, key, value.
pub(crate) type DerivedRow = (i64, String, String, Value);

/// Entries that are read at once.
const PAGE: usize = 1_000;

/// Rows in memory.
struct MemoryRows<'m> {
    rows: &'m mut BTreeMap<(i64, String, String), Value>,
    tenant: i64,
}

impl MemoryRows<'_> {
    fn place(&self, table: &str, key: &str) -> (i64, String, String) {
        (self.tenant, table.to_owned(), key.to_owned())
    }
}

impl Rows for MemoryRows<'_> {
    fn get(&mut self, table: &str, key: &str) -> Result<Option<Value>, ProjectError> {
        Ok(self.rows.get(&self.place(table, key)).cloned())
    }

    fn put(&mut self, table: &str, key: &str, value: Value) -> Result<(), ProjectError> {
        self.rows.insert(self.place(table, key), value);
        Ok(())
    }

    fn remove(&mut self, table: &str, key: &str) -> Result<(), ProjectError> {
        self.rows.remove(&self.place(table, key));
        Ok(())
    }
}

impl Sqlite {
    /// The derived rows as they are kept.
    pub(crate) fn derived_rows(&mut self) -> Result<Vec<DerivedRow>, StorageError> {
        let sql = "SELECT tenant, name, key, value FROM projections ORDER BY tenant, name, key";
        let mut select = self.connection.prepare(sql)?;
        let mut rows = select.query([])?;
        let mut kept = Vec::new();
        while let Some(row) = rows.next()? {
            let text: String = row.get(3)?;
            let value = serde_json::from_str(&text)
                .map_err(|e| StorageError(format!("a derived row is not JSON: {e}")))?;
            kept.push((row.get(0)?, row.get(1)?, row.get(2)?, value));
        }
        Ok(kept)
    }

    /// The derived rows as they follow from the entries.
    pub(crate) fn derive_anew(&mut self, projector: &dyn Projector) -> Result<Vec<DerivedRow>, StorageError> {
        let mut rows = BTreeMap::new();
        self.each_entry(|tenant, entry, _| {
            let mut rows = MemoryRows { rows: &mut rows, tenant };
            projector.project(entry, &mut rows).map_err(|e| StorageError(e.to_string()))
        })?;
        Ok(rows.into_iter().map(|((tenant, table, key), value)| (tenant, table, key, value)).collect())
    }

    /// Writes the derived rows anew.
    pub(crate) fn rebuild(&mut self, projector: &dyn Projector) -> Result<(), StorageError> {
        self.connection.execute_batch("BEGIN IMMEDIATE; DELETE FROM projections")?;
        self.each_entry(|tenant, entry, connection| {
            let mut rows = SqliteRows { connection, tenant };
            projector.project(entry, &mut rows).map_err(|e| StorageError(e.to_string()))
        })?;
        self.connection.execute_batch("COMMIT")?;
        Ok(())
    }

    /// Goes through the entries of all tenants, each chain in its order.
    pub(crate) fn each_entry(
        &mut self,
        mut visit: impl FnMut(i64, &crate::entry::Entry, &rusqlite::Connection) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        for tenant in self.tenants()? {
            let id: i64 = self.connection.query_row(
                "SELECT id FROM tenants WHERE path = ?1",
                params![tenant.as_str()],
                |row| row.get(0),
            )?;
            let mut after = 0;
            loop {
                let page = self.read(&tenant, after, PAGE)?;
                let Some(last) = page.last() else { break };
                after = last.header.seq;
                for entry in &page {
                    visit(id, entry, &self.connection)?;
                }
            }
        }
        Ok(())
    }
}
