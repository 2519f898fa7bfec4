//! A field of an object, and where it stands.

use serde_json::Value;

static NULL: Value = Value::Null;

/// A value and the path to it, as people write it: `spec.template.spec.containers[web].image`.
#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    pub(super) path: String,
    key: String,
    pub(super) value: &'a Value,
}

impl<'a> Field<'a> {
    /// The whole object.
    pub(super) fn whole(value: &'a Value) -> Self {
        Self {
            path: String::new(),
            key: String::new(),
            value,
        }
    }

    /// The field `key`, null where there is none.
    pub(super) fn get(&self, key: &str) -> Self {
        let path = match self.path.is_empty() {
            true => key.to_owned(),
            false => format!("{}.{key}", self.path),
        };
        Self {
            path,
            key: key.to_owned(),
            value: self.value.get(key).unwrap_or(&NULL),
        }
    }

    /// The field at a JSON pointer of keys alone, such as `/spec/template`.
    pub(super) fn pointer(&self, pointer: &str) -> Self {
        let keys = pointer.split('/').skip(1);
        keys.fold(self.clone(), |field, key| field.get(key))
    }

    /// The elements of a list, by their names where they have names; none where it is no list.
    pub(super) fn elements(&self) -> Vec<Self> {
        let elements = self.value.as_array().into_iter().flatten().enumerate();
        elements
            .map(|(index, value)| {
                let place = match value["name"].as_str() {
                    Some(name) => format!("[{name}]"),
                    None => format!("[{index}]"),
                };
                Self {
                    path: format!("{}{place}", self.path),
                    key: place,
                    value,
                }
            })
            .collect()
    }

    /// The fields of a map; none where it is no map.
    pub(super) fn fields(&self) -> Vec<Self> {
        let fields = self.value.as_object().into_iter().flatten();
        fields.map(|(key, _)| self.get(key)).collect()
    }

    /// Every field `key` at whatever depth, where it is set.
    pub(super) fn all(&self, key: &str) -> Vec<Self> {
        let mut found = Vec::new();
        for inner in [self.fields(), self.elements()].concat() {
            match inner.key() == key && inner.value.is_string() {
                true => found.push(inner),
                false => found.extend(inner.all(key)),
            }
        }
        found
    }

    /// The last key of the path, whole: an annotation's may hold dots itself.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Its text, if it is one.
    pub(super) fn text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// Whether there is anything.
    pub(super) fn is_set(&self) -> bool {
        match self.value {
            Value::Null => false,
            Value::Array(elements) => !elements.is_empty(),
            Value::String(text) => !text.is_empty(),
            _ => true,
        }
    }

    /// The value as a refusal quotes it.
    pub(super) fn shown(&self) -> String {
        match self.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}
