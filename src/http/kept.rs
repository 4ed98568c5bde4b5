//! Results that take a while to make, kept for who looks next.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::day::Day;

/// The most results that are kept.
const MOST: usize = 16;

/// Results by their names, each as of a day and a version of the figures.
#[derive(Debug, Clone, Default)]
pub struct Kept(Arc<Mutex<HashMap<String, Entry>>>);

type Entry = ((Day, u64), Arc<dyn Any + Send + Sync>);

impl Kept {
    /// The result `name`, if it is as of this day and version.
    pub(super) fn get<T: Any + Send + Sync>(
        &self,
        name: &str,
        as_of: (Day, u64),
    ) -> Option<Arc<T>> {
        let kept = self.0.lock();
        let (of, result) = kept.get(name)?;
        (*of == as_of).then(|| Arc::clone(result).downcast().ok())?
    }

    /// Keeps a result.
    pub(super) fn keep<T: Any + Send + Sync>(
        &self,
        name: &str,
        as_of: (Day, u64),
        result: T,
    ) -> Arc<T> {
        let result = Arc::new(result);
        let mut kept = self.0.lock();
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(name.to_owned(), (as_of, Arc::clone(&result) as _));
        result
    }
}
