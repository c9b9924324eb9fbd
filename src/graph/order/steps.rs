//! The steps of a teardown as a DAG in arrays: what waits for how many, and what follows what.

/// Who follows whom, as compressed rows: `rows[node]..rows[node + 1]` is where a node's followers stand.
#[derive(Clone, Default, Debug)]
pub(super) struct Rows {
    rows: Vec<u32>,
    followers: Vec<u32>,
    waits_for: Vec<u32>,
}

impl Rows {
    /// `edges` is gone through twice: to count, and to place.
    pub(super) fn new(nodes: usize, edges: impl Iterator<Item = (u32, u32)> + Clone) -> Rows {
        let mut rows = vec![0; nodes + 1];
        let mut waits_for = vec![0; nodes];
        for (before, after) in edges.clone() {
            rows[before as usize] += 1;
            waits_for[after as usize] += 1;
        }
        let mut total = 0;
        for row in &mut rows {
            total += *row;
            *row = total;
        }
        // Each row's end comes down to its start as the row fills from behind.
        let mut followers = vec![0; total as usize];
        for (before, after) in edges {
            let row = &mut rows[before as usize];
            *row -= 1;
            followers[*row as usize] = after;
        }
        Rows { rows, followers, waits_for }
    }

    pub(super) fn waits_for(&self) -> &[u32] {
        &self.waits_for
    }

    pub(super) fn followers(&self, node: u32) -> &[u32] {
        let node = node as usize;
        &self.followers[self.rows[node] as usize..self.rows[node + 1] as usize]
    }
}

/// What a teardown runs: a node is free to start once all that it waits for have ended.
///
/// The first nodes are the chosen resources, by index. Behind them stand virtual ones, with nothing to run: a
/// beginning and an end for each child manager that has to stand as a whole before or after something.
#[derive(Debug)]
pub(crate) struct Steps {
    rows: Rows,
    part: Vec<bool>,
}

impl Steps {
    pub(super) fn new(rows: Rows, part: Vec<bool>) -> Steps {
        Steps { rows, part }
    }

    /// The number of nodes, virtual ones included.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.waits_for().len()
    }

    /// By node: how many others have to end before it.
    pub(crate) fn waits_for(&self) -> &[u32] {
        self.rows.waits_for()
    }

    /// The nodes that wait for this one.
    pub(crate) fn followers(&self, node: u32) -> &[u32] {
        self.rows.followers(node)
    }

    /// Whether no node waits for another.
    #[inline]
    pub(crate) fn are_loose(&self) -> bool {
        self.rows.followers.is_empty()
    }

    /// Whether there is nothing to run at this node: it ends as soon as it may start.
    pub(crate) fn is_virtual(&self, node: u32) -> bool {
        node as usize >= self.part.len()
    }

    /// Whether the node is one of the teardown, and no resource that was left out.
    pub(crate) fn is_part(&self, node: u32) -> bool {
        self.part.get(node as usize).is_none_or(|part| *part)
    }
}
