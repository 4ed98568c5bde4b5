//! Figures that accounts and agents have alike.

use schemars::JsonSchema;
use serde::Serialize;

use crate::series::Figures;

/// Credits of the usual periods.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct PeriodCredits {
    /// Credits used yesterday. Null unless every day that it covers is known.
    previous_day_credits: Option<f64>,
    /// Credits used on the 7 days that end with yesterday. Null unless every day that it covers is known.
    previous_7_days_credits: Option<f64>,
    /// Credits used on the 30 days that end with yesterday. Null unless every day that it covers is known.
    previous_30_days_credits: Option<f64>,
    /// Credits used on the complete days of this UTC month; zero on its first day. Null unless every day that it covers
    /// is known.
    month_to_date_credits: Option<f64>,
    /// Credits used in the UTC month before this one. Null unless every day that it covers is known.
    previous_month_credits: Option<f64>,
    /// Expected credits of this UTC month. Null unless its complete days, and at least three days in all, are known.
    forecast_month_credits: Option<f64>,
}

impl PeriodCredits {
    /// Takes those of an agent.
    pub(super) const fn of(figures: &Figures) -> Self {
        Self {
            previous_day_credits: figures.previous_day_credits,
            previous_7_days_credits: figures.previous_7_days_credits,
            previous_30_days_credits: figures.previous_30_days_credits,
            month_to_date_credits: figures.month_to_date_credits,
            previous_month_credits: figures.previous_month_credits,
            forecast_month_credits: figures.forecast_month_credits,
        }
    }

    /// Adds those of another agent. A sum is known only if each part is.
    pub(super) fn add(&mut self, mut other: Self) {
        for (sum, credits) in self.each().into_iter().zip(other.each()) {
            *sum = sum.zip(*credits).map(|(sum, credits)| sum + credits);
        }
    }

    const fn each(&mut self) -> [&mut Option<f64>; 6] {
        [
            &mut self.previous_day_credits,
            &mut self.previous_7_days_credits,
            &mut self.previous_30_days_credits,
            &mut self.month_to_date_credits,
            &mut self.previous_month_credits,
            &mut self.forecast_month_credits,
        ]
    }
}
