//! Which concept is above which, by their numbers.

use fixedbitset::FixedBitSet;

/// The links of a code system, both ways. A concept may have several parents; a circle does no harm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hierarchy {
    up: Links,
    down: Links,
}

/// For each number, where its links begin, and all links after each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Links {
    starts: Vec<u32>,
    ends: Vec<u32>,
}

impl Hierarchy {
    /// Of so many concepts; each link is a concept and one above it.
    pub fn new(concepts: usize, mut links: Vec<(u32, u32)>) -> Self {
        links.sort_unstable();
        links.dedup();
        let up = Links::of(concepts, &links);
        let mut turned: Vec<(u32, u32)> =
            links.into_iter().map(|(low, high)| (high, low)).collect();
        turned.sort_unstable();
        let down = Links::of(concepts, &turned);
        Self { up, down }
    }

    /// How many concepts there are.
    pub fn len(&self) -> usize {
        self.up.starts.len().saturating_sub(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether any concept is above another.
    pub fn has_links(&self) -> bool {
        !self.up.ends.is_empty()
    }

    /// Those directly above.
    pub fn parents(&self, number: u32) -> &[u32] {
        self.up.of_one(number)
    }

    /// Those directly below.
    pub fn children(&self, number: u32) -> &[u32] {
        self.down.of_one(number)
    }

    /// It and all below it.
    pub fn below(&self, number: u32) -> FixedBitSet {
        self.down.reached(number)
    }

    /// It and all above it.
    pub fn above(&self, number: u32) -> FixedBitSet {
        self.up.reached(number)
    }

    /// Whether `high` is `low` or above it.
    pub fn subsumes(&self, high: u32, low: u32) -> bool {
        place(high).is_some_and(|high| self.above(low).contains(high))
    }

    /// The links upwards, as they are kept: the numbers of links, then the links.
    pub fn to_bytes(&self) -> Vec<u8> {
        let all = self.up.starts.iter().chain(&self.up.ends);
        all.flat_map(|number| number.to_le_bytes()).collect()
    }

    /// Reads what [`Self::to_bytes`] wrote, of so many concepts; `None` if it is damaged.
    pub fn from_bytes(concepts: usize, bytes: &[u8]) -> Option<Self> {
        let numbers: Vec<u32> = bytes
            .chunks(4)
            .map(|four| four.try_into().map(u32::from_le_bytes).ok())
            .collect::<Option<_>>()?;
        let (starts, ends) = numbers.split_at_checked(concepts.checked_add(1)?)?;
        let mut links = Vec::with_capacity(ends.len());
        for (number, span) in starts.windows(2).enumerate() {
            let [from, to] = span else { return None };
            let above = ends.get(usize::try_from(*from).ok()?..usize::try_from(*to).ok()?)?;
            let number = u32::try_from(number).ok()?;
            links.extend(above.iter().map(|above| (number, *above)));
        }
        let is_known = |number: &u32| usize::try_from(*number).is_ok_and(|it| it < concepts);
        let is_sound = links.len() == ends.len() && ends.iter().all(is_known);
        is_sound.then(|| Self::new(concepts, links))
    }
}

impl Links {
    /// Of links in their order.
    fn of(concepts: usize, links: &[(u32, u32)]) -> Self {
        let mut starts = Vec::with_capacity(concepts.saturating_add(1));
        let mut at = 0_u32;
        let mut rest = links.iter().peekable();
        for number in 0..concepts {
            starts.push(at);
            while rest
                .next_if(|(from, _)| place(*from) == Some(number))
                .is_some()
            {
                at = at.saturating_add(1);
            }
        }
        starts.push(at);
        Self {
            starts,
            ends: links.iter().map(|(_, to)| *to).collect(),
        }
    }

    fn of_one(&self, number: u32) -> &[u32] {
        let at = |number: usize| self.starts.get(number).copied().and_then(place);
        let span = place(number).and_then(|number| Some(at(number)?..at(number.checked_add(1)?)?));
        span.and_then(|span| self.ends.get(span))
            .unwrap_or_default()
    }

    fn reached(&self, number: u32) -> FixedBitSet {
        let concepts = self.starts.len().saturating_sub(1);
        let mut reached = FixedBitSet::with_capacity(concepts);
        let mut open = vec![number];
        while let Some(number) = open.pop() {
            let Some(at) = place(number).filter(|at| *at < reached.len()) else {
                continue;
            };
            if !reached.put(at) {
                open.extend(self.of_one(number));
            }
        }
        reached
    }
}

/// A number as an index.
fn place(number: u32) -> Option<usize> {
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(set: &FixedBitSet) -> Vec<usize> {
        set.ones().collect()
    }

    #[test]
    fn what_is_above_and_below_is_reached_through_all_parents() {
        // 0 above 1 and 2, both above 3; 4 and 5 above each other.
        let links = vec![(1, 0), (2, 0), (3, 1), (3, 2), (4, 5), (5, 4), (3, 1)];
        let hierarchy = Hierarchy::new(6, links);
        assert_eq!(hierarchy.parents(3), [1, 2]);
        assert_eq!(hierarchy.children(0), [1, 2]);
        assert_eq!(shown(&hierarchy.below(0)), [0, 1, 2, 3]);
        assert_eq!(shown(&hierarchy.above(3)), [0, 1, 2, 3]);
        assert_eq!(shown(&hierarchy.above(4)), [4, 5]);
        assert!(hierarchy.subsumes(0, 3) && !hierarchy.subsumes(3, 0));
        assert!(!hierarchy.subsumes(1, 2));
        assert!(hierarchy.below(9).is_clear());
        let bytes = hierarchy.to_bytes();
        assert_eq!(Hierarchy::from_bytes(6, &bytes), Some(hierarchy));
        assert_eq!(Hierarchy::from_bytes(6, &bytes[4..]), None);
        assert_eq!(Hierarchy::from_bytes(3, &bytes), None);
    }
}
