//! A tree of losers: finds the least of k heads with log₂ k comparisons after each step.

/// Which of a fixed number of players wins, kept as players change.
pub(crate) struct Tournament {
    /// The winner at 0; the loser of each inner match elsewhere.
    nodes: Vec<usize>,
    players: usize,
}

impl Tournament {
    /// Plays all matches; `less(a, b)` says that player `a` beats player `b`.
    pub(crate) fn new(players: usize, less: impl Fn(usize, usize) -> bool) -> Self {
        let mut nodes = vec![0; players.max(1)];
        let mut winners = vec![0; 2 * players];
        for node in (1..2 * players).rev() {
            winners[node] = if node >= players {
                node - players
            } else {
                let (left, right) = (winners[2 * node], winners[2 * node + 1]);
                let (winner, loser) = if less(right, left) { (right, left) } else { (left, right) };
                nodes[node] = loser;
                winner
            };
        }
        nodes[0] = winners.get(1).copied().unwrap_or(0);
        Self { nodes, players }
    }

    /// The player that beats all others.
    pub(crate) fn winner(&self) -> usize {
        self.nodes[0]
    }

    /// Plays the matches of the winner again after it changed.
    pub(crate) fn replay(&mut self, less: impl Fn(usize, usize) -> bool) {
        let mut winner = self.nodes[0];
        let mut node = (winner + self.players) / 2;
        while node > 0 {
            if less(self.nodes[node], winner) {
                std::mem::swap(&mut self.nodes[node], &mut winner);
            }
            node /= 2;
        }
        self.nodes[0] = winner;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn players_win_in_ascending_order() {
        for players in 1..20_usize {
            let mut heads: Vec<u32> = (0..players as u32).map(|player| player * 7919 % 31).collect();
            let mut expected: Vec<u32> = heads.iter().flat_map(|head| [*head, head + 10]).collect();
            expected.sort_unstable();
            let mut steps = vec![0; players];
            let mut tournament = Tournament::new(players, |a, b| heads[a] < heads[b]);
            let mut seen = Vec::new();
            for _ in 0..2 * players {
                let winner = tournament.winner();
                seen.push(heads[winner]);
                steps[winner] += 1;
                heads[winner] = if steps[winner] == 2 { u32::MAX } else { heads[winner] + 10 };
                tournament.replay(|a, b| heads[a] < heads[b]);
            }
            assert_eq!(seen, expected);
        }
    }
}
