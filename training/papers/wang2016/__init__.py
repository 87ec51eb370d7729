"""Wang et al. 2016: features of segmented lesions, a stacked autoencoder, SVM, KNN and LDA."""
