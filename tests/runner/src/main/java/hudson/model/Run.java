package hudson.model;

/** A name for getContext. */
public abstract class Run {}
