use std::fmt;

use serde_json::{Value, json};

/// One line of a tree and what hangs below it.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The member's name or number in its parent.
    pub label: String,
    /// Its value, or what kind of thing it is.
    pub text: String,
    /// What a reader should know about it.
    pub notes: Vec<String>,
    /// Members.
    pub children: Vec<Node>,
}

impl Node {
    /// A node without children.
    pub fn leaf(label: impl Into<String>, text: impl Into<String>) -> Self {
        Self { label: label.into(), text: text.into(), ..Self::default() }
    }

    /// The tree as JSON: `{"label", "value", "notes"?, "members"?}`.
    pub fn to_json(&self) -> Value {
        let mut object = json!({"label": self.label, "value": self.text});
        if !self.notes.is_empty() {
            object["notes"] = json!(self.notes);
        }
        if !self.children.is_empty() {
            object["members"] = self.children.iter().map(Self::to_json).collect();
        }
        object
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let indent = "  ".repeat(depth);
        let separator = if self.label.is_empty() || self.text.is_empty() { "" } else { ": " };
        writeln!(f, "{indent}{}{separator}{}", self.label, self.text)?;
        for note in &self.notes {
            writeln!(f, "{indent}  ! {note}")?;
        }
        self.children.iter().try_for_each(|child| child.write(f, depth + 1))
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}
