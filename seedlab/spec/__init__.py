"""What a run is: specifications, packs and policies as frozen values, without torch."""
