"""Maps of embeddings: points in two or three dimensions, how far they can be trusted, and files to look at.

    from minembed.maps import Map
    Map.of(model.encode(texts), texts, method="tsne").save("map.html")     # or .png, .svg

PCA and the page in HTML need NumPy alone; t-SNE, UMAP, clusters and pictures need the extra `viz`.
"""

from minembed.maps.chart import Map
from minembed.maps.groups import Groups
from minembed.maps.pca import pca
from minembed.maps.projection import Projection, project
from minembed.maps.trust import Trust, measure

__all__ = ["Groups", "Map", "Projection", "Trust", "measure", "pca", "project"]
