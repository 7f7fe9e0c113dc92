"""Sources of the methods: citations in a text, a list of references, BibTeX."""

from __future__ import annotations

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Publication:
    """A publication.

    Attributes
    ----------
    key : str
        Of its BibTeX entry, for instance ``holm1979``.
    authors : tuple of str
        "Surname, First names", as BibTeX reads them; "others" stands for the rest.
    year : int
    title : str
    venue : str
        Journal, proceedings or publisher, or an arXiv number.
    place : str
        Volume and pages, where the venue is a journal.
    """

    key: str
    authors: tuple[str, ...]
    year: int
    title: str
    venue: str
    place: str = ""

    @property
    def citation(self) -> str:
        """Surnames and year, for a sentence in parentheses."""
        names = [name.split(",")[0] for name in self.authors]
        if len(names) > 2 or names[-1] == "others":
            return f"{names[0]} et al. {self.year}"
        return f"{' and '.join(names)} {self.year}"

    @property
    def reference(self) -> str:
        """The line of a list of references."""
        names = "; ".join("et al." if name == "others" else name for name in self.authors)
        place = f" {self.place}" if self.place else ""
        return f"{names} ({self.year}). {self.title}. {self.venue}{place}."

    def bibtex(self) -> str:
        """The BibTeX entry."""
        fields = {"author": " and ".join(self.authors), "title": f"{{{self.title}}}"}
        volume, _, pages = self.place.partition(", ")
        if self.venue.startswith("arXiv:"):
            kind, fields = (
                "misc",
                fields
                | {
                    "eprint": self.venue.removeprefix("arXiv:"),
                    "archiveprefix": "arXiv",
                },
            )
        elif self.place:
            kind, fields = (
                "article",
                fields
                | {
                    "journal": self.venue,
                    "volume": volume,
                    "pages": re.sub(r"(?<=\d)-(?=\d)", "--", pages),
                },
            )
        elif self.venue in PUBLISHERS:
            kind, fields = "book", fields | {"publisher": self.venue}
        else:
            kind, fields = "inproceedings", fields | {"booktitle": self.venue}
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
        return "\n".join([f"@{kind}{{{self.key},", *lines, f"  year = {{{self.year}}}", "}"])


PUBLISHERS = ("Wiley",)

SOURCES = {
    source.key: source
    for source in (
        Publication(
            "agarwal2021",
            ("Agarwal, Rishabh", "Schwarzer, Max", "Castro, Pablo Samuel", "others"),
            2021,
            "Deep reinforcement learning at the edge of the statistical precipice",
            "arXiv:2108.13264",
        ),
        Publication(
            "bouthillier2021",
            ("Bouthillier, Xavier", "Delaunay, Pierre", "Bronzi, Mirko", "others"),
            2021,
            "Accounting for variance in machine learning benchmarks",
            "arXiv:2103.03098",
        ),
        Publication(
            "dodge2019",
            ("Dodge, Jesse", "Gururangan, Suchin", "Card, Dallas", "others"),
            2019,
            "Show your work: improved reporting of experimental results",
            "arXiv:1909.03004",
        ),
        Publication(
            "dodge2020",
            ("Dodge, Jesse", "Ilharco, Gabriel", "Schwartz, Roy", "others"),
            2020,
            "Fine-tuning pretrained language models: weight initializations, data orders, and early "
            "stopping",
            "arXiv:2002.06305",
        ),
        Publication(
            "dror2019",
            ("Dror, Rotem", "Shlomov, Segev", "Reichart, Roi"),
            2019,
            "Deep dominance: how to properly compare deep neural models",
            "Proceedings of ACL",
        ),
        Publication(
            "heineman2025",
            ("Heineman, David", "others"),
            2025,
            "Signal and noise: a framework for reducing uncertainty in language model evaluation",
            "arXiv:2508.13144",
        ),
        Publication(
            "henderson1953",
            ("Henderson, Charles R.",),
            1953,
            "Estimation of variance and covariance components",
            "Biometrics",
            "9, 226-252",
        ),
        Publication(
            "hoeffding1948",
            ("Hoeffding, Wassily",),
            1948,
            "A class of statistics with asymptotically normal distribution",
            "Annals of Mathematical Statistics",
            "19, 293-325",
        ),
        Publication(
            "holm1979",
            ("Holm, Sture",),
            1979,
            "A simple sequentially rejective multiple test procedure",
            "Scandinavian Journal of Statistics",
            "6, 65-70",
        ),
        Publication(
            "jordan2024",
            ("Jordan, Keller",),
            2024,
            "On the variance of neural network training with respect to test sets and distributions",
            "arXiv:2304.01910",
        ),
        Publication(
            "korn1998",
            ("Korn, Edward L.", "Graubard, Barry I."),
            1998,
            "Confidence intervals for proportions with small expected number of positive counts "
            "estimated from survey data",
            "Survey Methodology",
            "24, 193-201",
        ),
        Publication(
            "liang1986",
            ("Liang, Kung-Yee", "Zeger, Scott L."),
            1986,
            "Longitudinal data analysis using generalized linear models",
            "Biometrika",
            "73, 13-22",
        ),
        Publication(
            "lourie2024",
            ("Lourie, Nicholas", "Cho, Kyunghyun", "He, He"),
            2024,
            "Show your work with confidence: confidence bands for tuning curves",
            "arXiv:2311.09480",
        ),
        Publication(
            "maurer1995",
            ("Maurer, Willi", "Hothorn, Ludwig A.", "Lehmacher, Walter"),
            1995,
            "Multiple comparisons in drug clinical trials and preclinical assays: a-priori ordered hypotheses",
            "Biometrie in der chemisch-pharmazeutischen Industrie",
            "6, 3-18",
        ),
        Publication(
            "milanifard2016",
            ("Milani Fard, Mahdi", "Cormier, Quentin", "Canini, Kevin", "Gupta, Maya"),
            2016,
            "Launch and iterate: reducing prediction churn",
            "Advances in Neural Information Processing Systems",
        ),
        Publication(
            "mosbach2021",
            ("Mosbach, Marius", "Andriushchenko, Maksym", "Klakow, Dietrich"),
            2021,
            "On the stability of fine-tuning BERT: misconceptions, explanations, and strong baselines",
            "arXiv:2006.04884",
        ),
        Publication(
            "owen2007",
            ("Owen, Art B.",),
            2007,
            "The pigeonhole bootstrap",
            "Annals of Applied Statistics",
            "1, 386-411",
        ),
        Publication(
            "satterthwaite1946",
            ("Satterthwaite, F. E.",),
            1946,
            "An approximate distribution of estimates of variance components",
            "Biometrics Bulletin",
            "2, 110-114",
        ),
        Publication(
            "searle1992",
            ("Searle, Shayle R.", "Casella, George", "McCulloch, Charles E."),
            1992,
            "Variance components",
            "Wiley",
        ),
        Publication(
            "sellam2022",
            ("Sellam, Thibault", "Yadlowsky, Steve", "Wei, Jason", "others"),
            2022,
            "The MultiBERTs: BERT reproductions for robustness analysis",
            "Proceedings of ICLR",
        ),
        Publication(
            "tang2020",
            ("Tang, Raphael", "Lee, Jaejun", "Xin, Ji", "others"),
            2020,
            "Showing your work doesn't always work",
            "arXiv:2004.13705",
        ),
        Publication(
            "welch1947",
            ("Welch, B. L.",),
            1947,
            "The generalization of 'Student's' problem when several different population variances are "
            "involved",
            "Biometrika",
            "34, 28-35",
        ),
        Publication(
            "wilson1927",
            ("Wilson, Edwin B.",),
            1927,
            "Probable inference, the law of succession, and statistical inference",
            "Journal of the American Statistical Association",
            "22, 209-212",
        ),
        Publication(
            "zhang2021",
            ("Zhang, Tianyi", "Wu, Felix", "Katiyar, Arzoo", "others"),
            2021,
            "Revisiting few-sample BERT fine-tuning",
            "arXiv:2006.05987",
        ),
    )
}
